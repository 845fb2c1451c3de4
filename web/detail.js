/* One pipeline in full: chart, every record as a table with filter, sort and copy, the raw records, the time each
 * stage takes, and what the configuration says. */

import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";
import { AggregateSwitch, PipelineChart, chosenAggregate, whyEmpty } from "./card.js";
import { KeyValue, State, Value, columnDigits } from "./cells.js";
import { StageLatency } from "./latency.js";
import { CopyButton, Moment, Quantity, Span } from "./parts.js";
import { RecordTable, sortRecords, tableText } from "./table.js";
import { FilterBox } from "./filter_box.js";
import { RAW_RECORDS, TABLE_ROWS } from "./limits.js";
import { isClosed, sizeOf } from "./results.js";
import { duration, durationText, number, valueText, windowText } from "./format.js";
import { formatJson } from "./json.js";
import { resultsPath } from "./api.js";
import { pipelineWords } from "./words.js";

const ALL_WINDOWS = "all";
const CURRENT_WINDOW = "current";
const LATE = { update: "revise the result", drop: "are dropped", dlq: "go to the dead letters" };

function receiptColumn(id, label, help) {
  const count = (record) => record.receipt?.[id] ?? null;
  return {
    id, label, help, right: true, sortValue: count, text: (record) => count(record) ?? "",
    cell: (record) => html`<span class=${id === "late_dropped" && count(record) > 0 ? "some" : ""}>${number(count(record))}</span>`,
  };
}

function columnsOf(info, records, choice) {
  const keys = info.key.map((name) => ({
    id: `key ${name}`, label: name, head: true, sortValue: (record) => record.key?.[name] ?? null,
    cell: (record) => html`<${KeyValue} value=${record.key?.[name]} />`, text: (record) => valueText(record.key?.[name]),
  }));
  const window = {
    id: "window", label: "window", sortValue: (record) => record.window_start ?? null,
    cell: (record) => html`<${Span} start=${record.window_start} end=${record.window_end} />`,
    text: (record) => (record.window_start === undefined ? "" : new Date(record.window_start).toISOString()),
  };
  const values = info.aggregates.map((aggregate) => {
    const digits = columnDigits(records, aggregate.name);
    return {
      id: `value ${aggregate.name}`, label: aggregate.name, help: aggregate.expression, right: true, digits,
      sortValue: ({ values }) => (Array.isArray(values?.[aggregate.name]) ? sizeOf(values[aggregate.name]) : values?.[aggregate.name] ?? null),
      cell: (record) => html`<${Value} record=${record} aggregate=${aggregate} digits=${digits} />`,
      text: (record) => formatJson(record.values?.[aggregate.name] ?? null),
    };
  });
  const state = {
    id: "state", label: "state", sortValue: (record) => (isClosed(record) ? 1 + (record.revision ?? 0) : 0),
    cell: (record) => html`<${State} record=${record} />`, text: (record) => (isClosed(record) ? `${record.emit} ${record.revision}` : "open"),
  };
  const windowFirst = keys.length === 0 || choice === ALL_WINDOWS;
  return [
    ...keys, ...(windowFirst ? [window] : []), ...values, ...(windowFirst ? [] : [window]), state,
    receiptColumn("on_time", "on time", "events in this record that came before the watermark had passed"),
    receiptColumn("late_accepted", "late", "events that came late and were accepted"),
    receiptColumn("late_dropped", "too late", "events that came too late for this window and are not in it"),
  ];
}

function WindowChoice({ results, choice, choose }) {
  const windows = results.list().reverse();
  return html`<label class="field"><span>window</span>
    <select value=${choice} onChange=${(event) => choose(event.currentTarget.value)}>
      <option value=${CURRENT_WINDOW}>newest with results</option>
      <option value=${ALL_WINDOWS}>all ${windows.length} windows</option>
      ${windows.map(({ start, end, closed }) => html`<option key=${start} value=${String(start)}>${windowText(start, end)}${closed ? "" : " (open)"}</option>`)}
    </select></label>`;
}

function chosenRecords(results, choice) {
  if (results.loose.size > 0 || choice === ALL_WINDOWS) return results.records();
  const window = choice === CURRENT_WINDOW ? results.newestClosed() ?? results.newest() : results.windows.get(Number(choice));
  return [...(window?.rows.values() ?? [])];
}

function countText(shown, found, all) {
  const of = found === all ? `${number(all)} ${all === 1 ? "record" : "records"}` : `${number(found)} of ${number(all)} records match`;
  return shown < found ? `${of}, the first ${number(shown)} are shown` : of;
}

function Table({ pipeline, filter, filterText, setFilter }) {
  const { info, results } = pipeline;
  const keyless = info.key.length === 0;
  const [choice, choose] = useState(keyless ? ALL_WINDOWS : CURRENT_WINDOW);
  const [sort, setSort] = useState({ id: keyless ? "window" : `value ${chosenAggregate(info, null)?.name}`, descending: true });
  const all = chosenRecords(results, choice);
  const columns = columnsOf(info, all, choice);
  const found = sortRecords(filter ? all.filter((record) => filter.matches(record)) : all, columns, sort);
  const shape = columns.map(({ id, digits }) => `${id} ${digits ?? ""}`).join("|");
  return html`<section aria-labelledby="records-head">
    <div class="bar-of-tools">
      <h3 id="records-head">Results</h3>
      <${FilterBox} text=${filterText} setText=${setFilter} />
      ${results.loose.size === 0 && html`<${WindowChoice} results=${results} choice=${choice} choose=${choose} />`}
      <p class="count" role="status">${countText(Math.min(found.length, TABLE_ROWS), found.length, all.length)}</p>
      <${CopyButton} text=${() => tableText(found, columns)} label="Copy table" done=${`${number(found.length)} rows copied`} />
    </div>
    ${found.length === 0
      ? html`<p class="nothing">Nothing matches <b>${filterText}</b>. <button type="button" onClick=${() => setFilter("")}>Clear the filter</button></p>`
      : html`<${RecordTable} caption=${`results of ${info.name}`} columns=${columns} records=${found} sort=${sort} setSort=${setSort} shape=${shape} />`}
    <${Raw} info=${info} records=${found} />
  </section>`;
}

function Raw({ info, records }) {
  const [open, setOpen] = useState(false);
  const text = () => records.slice(0, RAW_RECORDS).map(formatJson).join("\n");
  return html`<details class="raw" open=${open} onToggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary>Raw records</summary>
    ${open && html`<div class="bar-of-tools">
      <p class="count">the first ${number(Math.min(records.length, RAW_RECORDS))} of the table, one a line; all of them: <a href=${resultsPath(info.name, {}).replace(/\?$/, "")}>${resultsPath(info.name, {}).replace(/\?$/, "")}</a></p>
      <${CopyButton} text=${text} label="Copy records" /></div>
    <pre tabindex="0" aria-label="raw records">${text()}</pre>`}
  </details>`;
}

function Facts({ info, counters }) {
  const window = info.window ? `${info.window.kind}${info.window.size_ms ? ` ${durationText(info.window.size_ms)}` : ""}${info.window.slide_ms ? ` every ${durationText(info.window.slide_ms)}` : ""}` : "none: event in, event out";
  const rows = [
    ["values", info.aggregates.map(({ name, expression }) => `${name} = ${expression}`).join(", ")], ["from", info.from?.join(", ")], ["where", info.where], ["window", window],
    ["allowed lateness", info.allowed_lateness_ms === undefined ? null : `${durationText(info.allowed_lateness_ms)}, then ${info.late === "dlq" ? "to the dead letters" : "dropped"}`],
    ["late events", LATE[info.late] ?? info.late], ["to", info.to?.join(", ")],
    ["events used", counters && number(counters.used)], ["filtered out", counters && number(counters.filtered)],
    ["late, accepted", counters && number(counters.late_accepted)], ["too late", counters && number(counters.too_late)],
    ["open windows", counters && number(counters.open_windows)], ["keys held", counters && number(counters.keys)],
    ["watermark", counters && html`<${Moment} ms=${counters.watermark} />`], ["watermark delay", counters && html`<${Quantity} of=${duration(counters.watermark_delay_ms)} />`],
  ];
  return html`<dl class="facts">${rows.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([label, value]) => html`<div key=${label} class=${label === "values" ? "whole" : ""}><dt>${label}</dt><dd>${value}</dd></div>`)}</dl>`;
}

export function Detail({ store, pipeline, filter, filterText, setFilter, backHref, opened }) {
  const [chosen, choose] = useState(null);
  const head = useRef(null);
  const { info, name } = pipeline;
  useEffect(() => {
    if (opened) head.current.focus();
  }, [name]);
  const aggregate = chosenAggregate(info, chosen) ?? { name: "", expression: "" };
  const counters = store.metrics?.pipelines?.[name];
  return html`<section class="detail" aria-labelledby="detail-head">
    <nav><a href=${backHref}>← All pipelines</a></nav>
    <header><h2 id="detail-head" tabindex="-1" ref=${head}>${name}</h2>
      <${AggregateSwitch} info=${info} current=${aggregate} choose=${choose} />
      <p class="words">${pipelineWords(info, aggregate)}</p></header>
    ${pipeline.results.empty
      ? html`<p class="waiting">${whyEmpty(pipeline, counters)}</p>`
      : html`<${PipelineChart} tall pipeline=${pipeline} aggregate=${aggregate} filter=${filter} />
        <${Table} key=${name} pipeline=${pipeline} filter=${filter} filterText=${filterText} setFilter=${setFilter} />`}
    <section aria-labelledby="stages-head"><h3 id="stages-head">Latency by stage <span class="unit">of the whole server</span></h3>
      <${StageLatency} latency=${store.metrics?.latency} /></section>
    <section aria-labelledby="facts-head"><h3 id="facts-head">Configuration and counters</h3><${Facts} info=${info} counters=${counters} /></section>
  </section>`;
}
