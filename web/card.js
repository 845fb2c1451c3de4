/* One pipeline on the first screen: what it computes, its chart, its top keys, its receipt. */

import { useState } from "preact/hooks";
import { html } from "./html.js";
import { Chart } from "./chart.js";
import { KeyValue, Value, columnDigits } from "./cells.js";
import { Moment, Span } from "./parts.js";
import { CARD_KEYS } from "./limits.js";
import { Results, mainAggregate, sizeOf, topRecords } from "./results.js";
import { chartView, chartWords, currentWindow, readoutText } from "./view.js";
import { keyText, number } from "./format.js";
import { pipelineWords } from "./words.js";

/** The aggregate shown: the one chosen, if the pipeline still has it, else the main one. */
export function chosenAggregate(info, chosen) {
  return info.aggregates.find(({ name }) => name === chosen) ?? info.aggregates.find(({ name }) => name === mainAggregate(info.aggregates));
}

export function AggregateSwitch({ info, current, choose }) {
  if (info.aggregates.length < 2) return null;
  return html`<div class="switch" role="group" aria-label=${`value of ${info.name} shown`}>
    ${info.aggregates.map(({ name, expression }) => html`<button type="button" key=${name} class="quiet" title=${expression}
      aria-pressed=${String(name === current.name)} onClick=${() => choose(name)}>${name}</button>`)}
  </div>`;
}

/** Why a pipeline has no result yet, from its counters. */
export function whyEmpty({ info }, counters) {
  const filtered = counters?.filtered ?? 0;
  if (!counters || (counters.used ?? 0) + filtered + (counters.too_late ?? 0) === 0) return `No event from ${info.from?.join(", ") || "its source"} yet.`;
  if ((counters.used ?? 0) === 0 && filtered > 0) return `All ${number(filtered)} events so far were filtered out by: ${info.where ?? "where"}`;
  if ((counters.used ?? 0) === 0) return `All ${number(counters.too_late)} events so far came too late.`;
  if (!info.window) return `${number(counters.used)} events have gone to ${info.to?.join(", ") || "the sinks"}; without a window there are no results.`;
  return `${number(counters.used)} events are in open windows; the first result comes when one closes.`;
}

export function PipelineChart({ pipeline, aggregate, filter, picked, tall }) {
  const view = chartView({ results: pipeline.results, aggregate: aggregate.name, expression: aggregate.expression, filter, picked });
  if (!view) return null;
  return html`<${Chart} view=${view} tall=${tall} alt=${chartWords(view, pipeline.name, aggregate.name)} readout=${(index) => readoutText(view, index)} />`;
}

function Bar({ value, largest }) {
  const share = largest > 0 && value > 0 ? Math.max(1, (value / largest) * 100) : 0;
  return html`<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect width=${share.toFixed(1)} height="8" /></svg>`;
}

/** The rows a card's table has: top keys of one window, or the newest windows where there is no key. */
function cardRows({ info, results }, aggregate, filter) {
  if (results.loose.size > 0) {
    const records = results.records().filter((record) => !filter || filter.matches(record));
    return { records: records.slice(0, CARD_KEYS), count: records.length, head: "newest", window: null };
  }
  if (info.key.length === 0) {
    const records = results.records().slice(0, CARD_KEYS);
    return { records, count: records.length, head: "window", window: currentWindow(results) };
  }
  const window = currentWindow(results);
  const records = [...window.rows.values()].filter((record) => !filter || filter.matches(record));
  return { records: topRecords(records, aggregate.name).slice(0, CARD_KEYS), count: records.length, head: info.key.join(" · "), window, all: records };
}

function TopKeys({ pipeline, aggregate, rows, pick }) {
  const { records, head } = rows;
  const largest = Math.max(0, ...records.map(({ values }) => sizeOf(values?.[aggregate.name]) ?? 0));
  const digits = columnDigits(records, aggregate.name);
  const blanks = Math.max(0, CARD_KEYS - records.length);
  const name = (record) => (head === "window" ? html`<${Moment} ms=${record.window_start} />` : html`<${KeyValue} value=${keyText(record.key)} />`);
  return html`<table class="keys" onMouseLeave=${() => pick(null)}>
    <caption class="unseen">${head === "window" ? "newest windows" : "largest keys"} of ${pipeline.name} by ${aggregate.name}</caption>
    <thead><tr><th scope="col">${head}</th><th scope="col" class="right">${aggregate.name}</th><th class="bars" aria-hidden="true"></th></tr></thead>
    <tbody>
      ${records.map((record) => html`<tr key=${record.id} onMouseEnter=${() => head !== "window" && pick(record)} class=${record.emit === "early" ? "open" : ""}>
        <th scope="row">${name(record)}${record.revision > 0 && html`${" "}<span class="revised" title=${`revised ${record.revision} times by late events`}>○</span>`}</th>
        <td class="right"><${Value} record=${record} aggregate=${aggregate} digits=${digits} /></td>
        <td class="bars" aria-hidden="true"><${Bar} value=${sizeOf(record.values?.[aggregate.name])} largest=${largest} /></td>
      </tr>`)}
      ${Array.from({ length: blanks }, (_, index) => html`<tr key=${`blank ${index}`} aria-hidden="true" class="blank"><td colspan="3"> </td></tr>`)}
    </tbody>
  </table>`;
}

function Receipt({ window, records }) {
  const sum = Results.receipt(records);
  const parts = [["on time", sum.on_time], ["late", sum.late_accepted], ["too late", sum.late_dropped]];
  if (sum.type_errors > 0) parts.push(["wrong type", sum.type_errors]);
  return html`<dl class="receipt">
    ${parts.map(([label, count], index) => html`<div key=${label} class=${index >= 2 && count > 0 ? "some" : ""}><dt>${label}</dt><dd>${number(count)}</dd></div>`)}
    ${window && html`<div class="when"><dt class="unseen">window</dt><dd><${Span} start=${window.start} end=${window.end} />${!window.closed && " open"}</dd></div>`}
  </dl>`;
}

function CardBody({ pipeline, aggregate, filter, counters }) {
  const [picked, pick] = useState(null);
  if (pipeline.results.empty) return html`<p class="waiting">${whyEmpty(pipeline, counters)}</p>`;
  const rows = cardRows(pipeline, aggregate, filter);
  return html`<div class="body">
    <${PipelineChart} pipeline=${pipeline} aggregate=${aggregate} filter=${filter} picked=${picked} />
    <div class="below">
      <${TopKeys} pipeline=${pipeline} aggregate=${aggregate} rows=${rows} pick=${pick} />
      <p class="more">${rows.count > rows.records.length ? `and ${number(rows.count - rows.records.length)} more` : " "}</p>
      <${Receipt} window=${rows.window} records=${rows.all ?? rows.window?.rows.values() ?? rows.records} />
    </div>
  </div>`;
}

export function Card({ pipeline, filter, counters, href }) {
  const [chosen, choose] = useState(null);
  const { info, name } = pipeline;
  const aggregate = chosenAggregate(info, chosen) ?? { name: "", expression: "" };
  return html`<article class="card">
    <header>
      <h3><a href=${href} id=${`card-${name}`}>${name}</a></h3>
      <${AggregateSwitch} info=${info} current=${aggregate} choose=${choose} />
      <p class="words" title=${info.description}>${pipelineWords(info, aggregate)}</p>
    </header>
    <${CardBody} pipeline=${pipeline} aggregate=${aggregate} filter=${filter} counters=${counters} />
  </article>`;
}
