/* The result records of one pipeline, as far as the page draws them.
 *
 *   windows:  start ─▶ { start, end, closed, rows: id ─▶ record }      the newest WINDOWS_KEPT of them
 *   loose:    newest records of a pipeline whose results share no windows (no window, session, global)
 *
 * A record replaces an older one of its id by the rule of the API (closed over early, then revision, then events in
 * it), so snapshot, history, live and resumed records may come in any order and more than once. */

import { WINDOWS_KEPT, RECORDS_KEPT, LOOSE_RECORDS_KEPT } from "./limits.js";

export function isClosed(record) {
  return record.emit !== "early";
}

function eventsIn(record) {
  return (record.receipt?.on_time ?? 0) + (record.receipt?.late_accepted ?? 0);
}

/** Whether `next` takes the place of `old`, both of one id. */
export function supersedes(next, old) {
  if (isClosed(next) !== isClosed(old)) return isClosed(next);
  if (next.revision !== old.revision) return next.revision > old.revision;
  return eventsIn(next) > eventsIn(old);
}

/** "sum(properties.amount)" → "sum". */
export function aggregateFunction(expression) {
  return /^\s*(\w+)\s*\(/.exec(expression ?? "")?.[1] ?? "";
}

/** How values of different keys make one of all of them; null when they cannot. */
export function combinerOf(expression) {
  const add = (a, b) => a + b;
  const combiners = { count: add, sum: add, rate: add, min: Math.min, max: Math.max };
  return combiners[aggregateFunction(expression)] ?? null;
}

/** What order, bars and charts go by: a number; of a list of frequent values the count of the first; null where there is none. */
export function sizeOf(value) {
  const size = Number(Array.isArray(value) ? value[0]?.count : value);
  return value === null || value === undefined || Number.isNaN(size) ? null : size;
}

/** The aggregate a pipeline is about: its first sum, else its first count, else its first. */
export function mainAggregate(aggregates) {
  const first = (name) => aggregates.find(({ expression }) => aggregateFunction(expression) === name);
  return (first("sum") ?? first("count") ?? aggregates[0])?.name ?? null;
}

export class Results {
  constructor({ grouped = true } = {}) {
    this.grouped = grouped;
    this.clear();
  }

  clear() {
    this.windows = new Map();
    this.starts = [];
    this.loose = new Map();
    this.recordCount = 0;
    this.version = 0;
  }

  get empty() {
    return this.recordCount === 0;
  }

  /** Takes one record; false when it changes nothing. */
  apply(record) {
    const changed = this.grouped && typeof record.window_start === "number" ? this.#applyWindowed(record) : this.#applyLoose(record);
    if (changed) this.version++;
    return changed;
  }

  #applyLoose(record) {
    const old = this.loose.get(record.id);
    if (old && !supersedes(record, old)) return false;
    this.loose.delete(record.id);
    this.loose.set(record.id, record);
    if (!old) this.recordCount++;
    while (this.loose.size > LOOSE_RECORDS_KEPT) {
      this.loose.delete(this.loose.keys().next().value);
      this.recordCount--;
    }
    return true;
  }

  #applyWindowed(record) {
    const window = this.windows.get(record.window_start) ?? this.#openWindow(record);
    if (!window) return false;
    const old = window.rows.get(record.id);
    if (old ? !supersedes(record, old) : window.rows.size >= RECORDS_KEPT) {
      if (!old) window.omittedCount++;
      return false;
    }
    window.rows.set(record.id, record);
    window.version++;
    window.closed ||= isClosed(record);
    window.revised ||= record.revision > 0;
    if (!old) this.recordCount++;
    this.#forget();
    return true;
  }

  #openWindow(record) {
    const start = record.window_start;
    if (this.starts.length >= WINDOWS_KEPT && start < this.starts[0]) return null;
    const window = { start, end: record.window_end, closed: false, revised: false, overdueTicks: 0, omittedCount: 0, rows: new Map(), version: 0, totals: new Map() };
    this.windows.set(start, window);
    let index = this.starts.length;
    while (index > 0 && this.starts[index - 1] > start) index--;
    this.starts.splice(index, 0, start);
    return window;
  }

  #forget() {
    while (this.starts.length > WINDOWS_KEPT || (this.recordCount > RECORDS_KEPT && this.starts.length > 1)) {
      const start = this.starts.shift();
      this.recordCount -= this.windows.get(start).rows.size;
      this.windows.delete(start);
    }
  }

  /** Windows, oldest first. */
  list() {
    return this.starts.map((start) => this.windows.get(start));
  }

  newest() {
    return this.windows.get(this.starts.at(-1)) ?? null;
  }

  newestClosed() {
    for (let i = this.starts.length - 1; i >= 0; i--) {
      const window = this.windows.get(this.starts[i]);
      if (window.closed) return window;
    }
    return null;
  }

  /** All records, newest window first. */
  records() {
    if (this.loose.size > 0) return [...this.loose.values()].reverse();
    return [...this.starts].reverse().flatMap((start) => [...this.windows.get(start).rows.values()]);
  }

  /** One value of all keys of `window` that `filter` lets through; null when there is none. */
  total(window, aggregate, combine, filter) {
    const cacheKey = `${aggregate} ${filter?.text ?? ""}`;
    const cached = window.totals.get(cacheKey);
    if (cached?.version === window.version) return cached.value;
    let value = null;
    for (const record of window.rows.values()) {
      const part = sizeOf(record.values[aggregate]);
      if (part === null || (filter && !filter.matches(record))) continue;
      value = value === null ? part : combine(value, part);
    }
    if (window.totals.size > 16) window.totals.clear();
    window.totals.set(cacheKey, { version: window.version, value });
    return value;
  }

  /** The receipts of the window's records added up. */
  static receipt(records) {
    const sum = { on_time: 0, late_accepted: 0, late_dropped: 0, type_errors: 0, closed_by: null };
    for (const { receipt } of records) {
      for (const name of ["on_time", "late_accepted", "late_dropped", "type_errors"]) sum[name] += receipt?.[name] ?? 0;
      sum.closed_by ??= receipt?.closed_by ?? null;
    }
    return sum;
  }
}

/** Records ordered by an aggregate, largest first; nulls last, ties by key so that rows do not swap places. */
export function topRecords(records, aggregate) {
  return records
    .map((record) => ({ record, value: sizeOf(record.values[aggregate]) ?? -Infinity, key: record.id }))
    .sort((a, b) => (b.value === a.value ? 0 : b.value - a.value) || (a.key < b.key ? -1 : 1))
    .map(({ record }) => record);
}
