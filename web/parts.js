/* Small pieces used everywhere: a moment, a quantity with its unit, a mark of state, a copy button. */

import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";
import { isKnown, time, utc, windowText, UNKNOWN } from "./format.js";

/** A moment in the viewer's zone, UTC on hover. */
export function Moment({ ms }) {
  if (!isKnown(ms)) return UNKNOWN;
  return html`<time datetime=${new Date(Number(ms)).toISOString()} title=${utc(ms)}>${time(ms)}</time>`;
}

/** A window's span in the viewer's zone, UTC on hover. */
export function Span({ start, end }) {
  if (!isKnown(start)) return UNKNOWN;
  return html`<time datetime=${new Date(start).toISOString()} title=${`${utc(start)} – ${utc(end)}`}>${windowText(start, end)}</time>`;
}

/** A number with its unit in a lighter weight. */
export function Quantity({ of: [text, unit] }) {
  return html`<span class="quantity">${text}${unit && html`<span class="unit">${" "}${unit}</span>`}</span>`;
}

const SHAPES = {
  ok: "M8 3.500a4.500 4.500 0 1 0 0 9a4.500 4.500 0 0 0 0-9z",
  degraded: "M8 2.500l6 11H2z",
  down: "M3 3h10v10H3z",
};

/** State by shape as well as by colour: disc, triangle, square. */
export function Mark({ status }) {
  return html`<svg class=${`mark ${status}`} viewBox="0 0 16 16" aria-hidden="true"><path d=${SHAPES[status] ?? SHAPES.degraded} /></svg>`;
}

async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  /* Plain HTTP from another host has no clipboard API. */
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** Copies what `text()` gives; says so for two seconds. */
export function CopyButton({ text, label, done = "copied" }) {
  const [said, say] = useState(null);
  const timer = useRef(null);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async () => {
    const worked = await copyText(text()).then(() => true, () => false);
    say(worked ? done : "the browser did not allow it");
    clearTimeout(timer.current);
    timer.current = setTimeout(() => say(null), 2000);
  };
  return html`<button type="button" class="quiet copy" onClick=${copy}>
    <span class=${said ? "given-room" : ""}>${label}</span>
    <span class="said" role="status">${said ?? ""}</span>
  </button>`;
}
