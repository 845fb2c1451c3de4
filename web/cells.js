/* What stands in the cells of result tables: keys, values (with the error of approximate ones), state of a record. */

import { html } from "./html.js";
import { aggregateFunction, isClosed } from "./results.js";
import { isKnown, number, valueText } from "./format.js";
import { formatJson } from "./json.js";

const EXACT_PERCENTILE_COUNT = 64;
const EXACT_DISTINCT_COUNT = 1024;
const LIST_ENTRIES = 3;

function eventCount({ receipt }) {
  return (receipt?.on_time ?? 0) + (receipt?.late_accepted ?? 0);
}

/** The error of an approximate value in words, or null when the value is exact. */
export function approximation(expression, value, record) {
  const name = aggregateFunction(expression);
  if ((name === "percentile" || name === "median") && eventCount(record) > EXACT_PERCENTILE_COUNT) return "relative error at most 1 %";
  if (name === "distinct_count" && value > EXACT_DISTINCT_COUNT) return "standard error 0.82 %";
  return null;
}

/** The list of top(x, k): [{ value, count }, …]. */
export function isFrequencyList(value) {
  return Array.isArray(value) && value.every((entry) => entry !== null && typeof entry === "object" && isKnown(entry.count));
}

/** "JFK 812 · LGA 640 · EWR 98 …": as many entries as asked for. */
export function frequencyText(list, entries = list.length) {
  if (list.length === 0) return "no frequent value";
  const shown = list.slice(0, entries).map(({ value, count }) => `${valueText(value)} ${number(count)}`);
  return shown.join(" · ") + (list.length > entries ? " …" : "");
}

/** A value of a record. The exact text is on hover, with the error where there is one. */
export function Value({ record, aggregate, digits }) {
  const value = record.values?.[aggregate.name];
  if (value === null || value === undefined) return html`<span class="none">null</span>`;
  if (isFrequencyList(value)) return html`<span title=${frequencyText(value)}>${frequencyText(value, LIST_ENTRIES)}</span>`;
  if (!isKnown(value)) return html`<span title=${formatJson(value)}>${valueText(value)}</span>`;
  const error = approximation(aggregate.expression, value, record);
  const exact = formatJson(value);
  return html`<span title=${error ? `${exact}: approximate, ${error}` : exact}>${error && html`<span class="unit">≈ </span>`}${number(value, digits)}</span>`;
}

function decimals(value) {
  return /\.(\d+)$/.exec(String(value))?.[1].length ?? (Number.isInteger(value) ? 0 : 5);
}

/** Digits after the point that suit a whole column: as many as its values have, but no more than their size deserves. */
export function columnDigits(records, name) {
  let largest = 0;
  let most = 0;
  for (const { values } of records) {
    const value = values?.[name];
    if (typeof value !== "number") continue;
    most = Math.max(most, decimals(value));
    largest = Math.max(largest, Math.abs(value));
  }
  return most === 0 ? undefined : Math.min(most, largest >= 100 ? 2 : largest >= 1 ? 3 : 5);
}

export function KeyValue({ value }) {
  if (value === null || value === undefined) return html`<span class="none">null</span>`;
  return valueText(value);
}

const CLOSED_BY = {
  watermark: "the watermark passed its end",
  idle: "all partitions were idle",
  wall_clock: "the wall clock (close_after)",
  end_of_input: "the input ended",
  shutdown: "the server was stopped",
};

/** "open", "final" or "revised 2×"; how it was closed is on hover. */
export function State({ record }) {
  if (!isClosed(record)) return html`<span class="open" title="early result of a window that is still open">open</span>`;
  const why = CLOSED_BY[record.receipt?.closed_by];
  const title = why && `closed by: ${why}`;
  if (record.revision > 0) return html`<span class="revised" title=${title}><span aria-hidden="true">○ </span>revised ${record.revision}×</span>`;
  return html`<span title=${title}>final</span>`;
}
