/* Where the time goes, from source to socket: each stage as a bar that starts where the one before ends. The solid part
 * is the median, the thin line behind it reaches to the 99th percentile. All on one linear scale. */

import { html } from "./html.js";
import { isKnown, microsText, number } from "./format.js";

const STAGES = [
  ["accept", "accept", "read from the source and make durable"],
  ["decode", "decode", "check the JSON, fill columns"],
  ["window", "window", "where, key, aggregate"],
  ["merge", "merge", "bring the shards' parts together"],
  ["store", "store", "write the result durably"],
  ["socket", "socket", "write the result to clients"],
];

function Stage({ label, help, stage, start, scale }) {
  const known = isKnown(stage?.p50_us);
  const at = (us) => ((us / scale) * 100).toFixed(2);
  return html`<tr>
    <th scope="row" title=${help}>${label}</th>
    <td class="lane"><svg viewBox="0 0 100 16" preserveAspectRatio="none" aria-hidden="true">
      ${known && html`<path class="reach" d=${`M${at(start)} 8H${at(Math.min(scale, start + (stage.p99_us ?? stage.p50_us)))}`} />
        <rect x=${at(start)} y="3" width=${Math.max(0.4, (stage.p50_us / scale) * 100).toFixed(2)} height="10" />`}
    </svg></td>
    <td class="right">${microsText(stage?.p50_us)}</td>
    <td class="right">${microsText(stage?.p99_us)}</td>
    <td class="right wide">${microsText(stage?.max_us)}</td>
    <td class="right wide">${number(stage?.count)}</td>
  </tr>`;
}

export function StageLatency({ latency }) {
  const known = (value) => (isKnown(value) ? value : 0);
  const starts = [];
  let end = 0;
  for (const [id] of STAGES) {
    starts.push(end);
    end += known(latency?.[id]?.p50_us);
  }
  const reach = STAGES.map(([id], index) => starts[index] + known(latency?.[id]?.p99_us));
  const scale = Math.max(1, end, ...reach);
  const whole = latency?.end_to_end;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="latency of each stage"><table class="stages">
    <caption class="unseen">Latency of each stage of the server</caption>
    <thead><tr><th scope="col">stage</th><th class="lane" aria-hidden="true"></th><th scope="col" class="right">p50</th><th scope="col" class="right">p99</th><th scope="col" class="right wide">largest</th><th scope="col" class="right wide">measured</th></tr></thead>
    <tbody>
      ${STAGES.map(([id, label, help], index) => html`<${Stage} key=${id} label=${label} help=${help} stage=${latency?.[id]} start=${starts[index]} scale=${scale} />`)}
      <tr class="whole"><th scope="row" title="measured on its own, not the sum of the stages">end to end</th><td class="lane"></td>
        <td class="right">${microsText(whole?.p50_us)}</td><td class="right">${microsText(whole?.p99_us)}</td>
        <td class="right wide">${microsText(whole?.max_us)}</td><td class="right wide">${number(whole?.count)}</td></tr>
    </tbody>
  </table></div>`;
}
