/* The last minutes of one or two numbers as bare lines. The newest is at the right edge, and a second is the same
 * distance in every sparkline: the whole width is half a minute at first and METRICS_KEPT seconds in the end. Seconds
 * without a value leave a gap. */

import { html } from "./html.js";
import { METRICS_KEPT, METRICS_SPAN_MIN } from "./limits.js";

const HEIGHT = 32;
const INSET = 2;

function pathOf(values, span, largest) {
  const scale = largest > 0 ? (HEIGHT - 2 * INSET) / largest : 0;
  const first = span - (values.length - 1);
  let path = "";
  let pen = "M";
  values.forEach((value, index) => {
    if (typeof value !== "number") {
      pen = "M";
      return;
    }
    path += `${pen}${first + index} ${(HEIGHT - INSET - value * scale).toFixed(1)}`;
    pen = "L";
  });
  return path;
}

/** `lines`: arrays of numbers or null, all of one length and one scale from 0; the first is the accented one. */
export function Sparkline({ lines, label }) {
  const largest = Math.max(0, ...lines.flat().filter((value) => typeof value === "number"));
  const span = Math.min(METRICS_KEPT, Math.max(METRICS_SPAN_MIN, lines[0].length)) - 1;
  return html`<svg class="sparkline" viewBox=${`0 0 ${span} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${label}>
    <path class="base" d=${`M0 ${HEIGHT - INSET / 2}H${span}`} />
    ${lines.map((values, index) => html`<path class=${index === 0 ? "first" : "other"} d=${pathOf(values, span, largest)} />`).reverse()}
  </svg>`;
}
