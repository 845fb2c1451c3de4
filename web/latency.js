/* Where the time goes, from source to socket. Stages differ by factors of thousands, so the scale is logarithmic: each
 * bar reaches from the median (its strong edge) to the 99th percentile, over lines at the powers of ten. */

import { html } from "./html.js";
import { isKnown, microsText, number } from "./format.js";

const STAGES = [
  ["accept", "accept", "read from the source and make durable"],
  ["decode", "decode", "check the JSON, fill columns"],
  ["window", "window", "where, key, aggregate"],
  ["merge", "merge", "bring the shards' parts together"],
  ["store", "store", "write the result durably; clients do not wait for it"],
  ["socket", "socket", "write the result to clients"],
  ["end_to_end", "end to end", "measured on its own, not the sum of the stages"],
];
const DECADES_MIN = 4;

/** Powers of ten from 1 µs that the scale spans, so that the largest value fits. */
export function decadesOf(latency) {
  const largest = Math.max(1, ...STAGES.map(([id]) => latency?.[id]?.p99_us ?? 0));
  return Math.max(DECADES_MIN, Math.ceil(Math.log10(largest)));
}

function place(us, decades) {
  return (Math.log10(Math.max(1, us)) / decades) * 100;
}

function Lane({ stage, decades }) {
  const lines = Array.from({ length: decades }, (_, power) => `M${((power / decades) * 100).toFixed(2)} 0V24`).join("");
  const known = isKnown(stage?.p50_us);
  const from = known ? place(stage.p50_us, decades) : 0;
  const to = known ? place(stage.p99_us ?? stage.p50_us, decades) : 0;
  return html`<svg viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">
    <path class="decades" d=${lines} />
    ${known && html`<rect x=${from.toFixed(2)} y="8" width=${Math.max(0, to - from).toFixed(2)} height="8" />
      <path class="median" d=${`M${from.toFixed(2)} 6V18`} />`}
  </svg>`;
}

/** Labels of the scale, at 1 µs, 1 ms and 1 s. */
function Scale({ decades }) {
  return [0, 3, 6].filter((power) => power < decades).map((power) => html`<span key=${power} style=${{ left: `${(power / decades) * 100}%` }}>${microsText(10 ** power)}</span>`);
}

function Stage({ id, label, help, stage, decades }) {
  return html`<tr class=${id === "end_to_end" ? "whole" : ""}>
    <th scope="row" title=${help}>${label}</th>
    <td class="lane" aria-hidden="true"><${Lane} stage=${stage} decades=${decades} /></td>
    <td class="right">${microsText(stage?.p50_us)}</td>
    <td class="right">${microsText(stage?.p99_us)}</td>
    <td class="right wide">${microsText(stage?.max_us)}</td>
    <td class="right wide">${number(stage?.count)}</td>
  </tr>`;
}

export function StageLatency({ latency }) {
  const decades = decadesOf(latency);
  return html`<div class="scroll" tabindex="0" role="region" aria-label="latency of each stage"><table class="stages">
    <caption class="unseen">Latency of each stage of the server in the last minute</caption>
    <thead><tr><th scope="col">stage</th><td class="lane" aria-hidden="true"><div class="scale"><${Scale} decades=${decades} /></div></td>
      <th scope="col" class="right">p50</th><th scope="col" class="right">p99</th><th scope="col" class="right wide">largest</th><th scope="col" class="right wide">measured</th></tr></thead>
    <tbody>${STAGES.map(([id, label, help]) => html`<${Stage} key=${id} id=${id} label=${label} help=${help} stage=${latency?.[id]} decades=${decades} />`)}</tbody>
  </table></div>`;
}
