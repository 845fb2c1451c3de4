/* The sources in one table: what comes in, how far behind, and what was bad. */

import { html } from "./html.js";
import { Mark, Moment, Quantity } from "./parts.js";
import { compactText, duration, microsText, number, quantity } from "./format.js";
import { behindWords, sourceComponent } from "./troubles.js";

/** What there is to say of a group's member, in one line. */
function kafkaWords({ group, joined, partitions, rebalances, fetch_rate: rate, round_trip_us: trip }) {
  const fetched = typeof rate === "number" ? `, ${compactText(rate)} messages/s fetched` : "";
  const away = typeof trip === "number" ? `, broker answers in ${microsText(trip)}` : "";
  return `group ${group}${joined ? "" : " (joining)"}: ${partitions} partitions, ${rebalances} rebalances${fetched}${away}`;
}

function Remark({ source, trouble }) {
  if (trouble) return html`<${Mark} status=${trouble.status} />${trouble.reason ?? trouble.status}`;
  if (source?.ended) return html`<span class="light">ended</span>`;
  return source?.kafka && html`<span class="light">${kafkaWords(source.kafka)}</span>`;
}

function SourceRow({ name, source, kind, component, behind }) {
  const trouble = component && component.status !== "ok" ? component : behind && { status: "degraded", reason: behind };
  return html`<tr>
    <th scope="row">${name}${kind && html`<span class="unit"> ${kind}</span>`}</th>
    <td class="right"><${Quantity} of=${quantity(source?.rate)} /></td>
    <td class="right">${number(source?.in)}</td>
    <td class=${source?.bad > 0 ? "right some" : "right"}>${number(source?.bad)}</td>
    <td class="right">${number(source?.lag)}</td>
    <td class="right"><${Quantity} of=${duration(typeof source?.lag_seconds === "number" ? source.lag_seconds * 1000 : null)} /></td>
    <td class="right"><${Quantity} of=${duration(source?.watermark_delay_ms)} /></td>
    <td class="right"><${Moment} ms=${source?.watermark} /></td>
    <td class="reason"><${Remark} source=${source} trouble=${trouble} /></td>
  </tr>`;
}

export function Sources({ store }) {
  const { metrics, sources, system } = store;
  const names = [...new Set([...sources.map(({ name }) => name), ...Object.keys(metrics?.sources ?? {})])];
  if (names.length === 0) return null;
  const kindOf = (name) => sources.find((source) => source.name === name)?.kind;
  return html`<section class="sources" aria-labelledby="sources-head">
    <h2 id="sources-head">Sources</h2>
    <div class="scroll" tabindex="0" role="region" aria-label="table of sources"><table class="records">
      <caption class="unseen">Sources: events in, bad events, lag and watermark</caption>
      <thead><tr><th scope="col">source</th><th scope="col" class="right">events/s</th><th scope="col" class="right">events in</th><th scope="col" class="right">bad</th>
        <th scope="col" class="right" title="events that wait in the source">lag</th><th scope="col" class="right" title="age of the newest event that was read, while others wait">lag time</th><th scope="col" class="right">watermark delay</th><th scope="col" class="right">watermark</th><th scope="col"><span class="unseen">trouble</span></th></tr></thead>
      <tbody>${names.map((name) => html`<${SourceRow} key=${name} name=${name} kind=${kindOf(name)} source=${metrics?.sources?.[name]} component=${sourceComponent(system, name)} behind=${behindWords(store, name)} />`)}</tbody>
    </table></div>
  </section>`;
}
