/* From a pipeline's records to what a chart draws and says. Pure functions; `filter` may be null. */

import { combinerOf, sizeOf, topRecords } from "./results.js";
import { WINDOWS_SPAN_MIN } from "./limits.js";
import { compactText, keyText, number, time, windowText } from "./format.js";

const KEY_LINES = 3;
const LABEL_CHARACTERS = 14;
/* Who has windows this long would wait too long for one to close. */
const LONG_WINDOW_MS = 600_000;

function cut(text) {
  return text.length > LABEL_CHARACTERS ? `${text.slice(0, LABEL_CHARACTERS - 1)}…` : text;
}

function valueOf(window, id, aggregate) {
  const prefix = id.slice(0, id.lastIndexOf("|") + 1);
  return sizeOf(window.rows.get(prefix + window.start)?.values[aggregate]);
}

/** The window a table of keys is about: the newest closed one, or the open one where windows are long. */
export function currentWindow(results) {
  const [newest, closed] = [results.newest(), results.newestClosed()];
  if (!closed) return newest;
  const long = newest.end - newest.start >= LONG_WINDOW_MS;
  return long ? newest : closed;
}

/** Splits one value per window into a closed line and an open one that starts where the closed one ends. */
function splitOpen(windows, values) {
  const lastClosed = windows.findLastIndex(({ closed }) => closed);
  const closed = values.map((value, index) => (index <= lastClosed ? value : null));
  const open = values.map((value, index) => (index >= lastClosed ? value : null));
  return { closed, open: lastClosed === values.length - 1 ? null : open };
}

function spanOf(windows) {
  const last = windows.at(-1);
  /* Windows without an event have no record, so the smallest distance is the step. */
  const step = windows.slice(1).reduce((least, { start }, index) => Math.min(least, start - windows[index].start), last.end - last.start);
  const first = Math.min(windows[0].start, last.start - (WINDOWS_SPAN_MIN - 1) * Math.max(step, 1));
  return [first, Math.max(last.start, first + 1)];
}

/** Characters that the labels need, in steps, so that the plot does not change its width with every value. */
function roomFor(lines) {
  return Math.ceil(Math.max(8, ...lines.map(({ label }) => label.length)) / 4) * 4;
}

function totalLines(results, windows, aggregate, combine, filter) {
  const values = windows.map((window) => results.total(window, aggregate, combine, filter));
  const { closed, open } = splitOpen(windows, values);
  const lines = [{ role: "closed", values: closed }];
  if (open) lines.push({ role: "open", values: open, label: `${compactText(open.findLast((value) => value !== null) ?? null)} open` });
  return lines;
}

/** A mean or a percentile of a window that has just opened says little: lines of keys stop at the closed ones. */
function keyLines(windows, records, aggregate) {
  const drawOpen = !windows.some(({ closed }) => closed);
  return records.map((record, index) => {
    const values = windows.map((window) => (window.closed || drawOpen ? valueOf(window, record.id, aggregate) : null));
    const newest = values.findLast((value) => value !== null) ?? null;
    return { role: index === 0 ? "first" : "other", values, label: `${compactText(newest)} ${cut(keyText(record.key))}` };
  });
}

/** What chart.js draws; null when there is nothing to draw. `picked` is the id of a record whose key is shown too. */
export function chartView({ results, aggregate, expression, filter, picked }) {
  const windows = results.list();
  if (windows.length === 0) return null;
  const combine = combinerOf(expression);
  const keyed = Object.keys(windows.at(-1).rows.values().next().value?.key ?? {}).length > 0;
  const single = !combine && !keyed;
  let lines;
  if (combine || single) {
    lines = totalLines(results, windows, aggregate, combine ?? ((a, b) => b), filter);
  } else {
    const rows = [...currentWindow(results).rows.values()].filter((record) => !filter || filter.matches(record));
    lines = keyLines(windows, topRecords(rows, aggregate).slice(0, KEY_LINES), aggregate);
  }
  if (picked) {
    const values = windows.map((window) => valueOf(window, picked.id, aggregate));
    lines.push({ role: "picked", values, label: cut(keyText(picked.key)) });
  }
  return {
    x: windows.map(({ start }) => start),
    lines,
    revised: combine || single ? windows.flatMap(({ revised, closed }, index) => (revised && closed ? [index] : [])) : [],
    span: spanOf(windows),
    labelCharacters: combine || single ? 10 : roomFor(lines),
    windows,
  };
}

/** The chart in words. */
export function chartWords(view, name, aggregate) {
  const shown = view.lines.filter(({ role }) => role !== "open");
  const parts = shown.map(({ role, values, label }) => {
    const known = values.filter((value) => value !== null);
    if (known.length === 0) return "no closed window yet";
    const range = `newest ${number(known.at(-1))}, lowest ${number(Math.min(...known))}, highest ${number(Math.max(...known))}`;
    return role === "closed" ? range : `${label}: ${range}`;
  });
  const span = `${view.x.length} windows from ${time(view.x[0])} to ${time(view.x.at(-1))}`;
  return `${aggregate} of ${name} over ${span}; ${parts.join("; ")}`;
}

/** The window under the pointer: when, what, and whether it is open or was revised. */
export function readoutText(view, index) {
  const window = view.windows[index];
  if (!window) return "";
  const values = view.lines
    .filter(({ role, values: line }) => line[index] !== null && !(role === "open" && view.lines[0].values[index] !== null))
    .map(({ role, values: line, label }) => (role === "closed" || role === "open" ? number(line[index]) : `${label.replace(/^\S+ (?=\S)/, "")} ${number(line[index])}`));
  const state = !window.closed ? " · open" : window.revised ? " · revised" : "";
  return `${windowText(window.start, window.end)} · ${values.join(", ") || "no value"}${state}`;
}
