/* All that the page knows: what the socket and the API said, kept within the bounds of limits.js. Nothing here draws;
 * `changed()` is called after every change and the scheduler decides when to look.
 *
 * A chart needs three things, and they may arrive in any order: the list of pipelines (API), rows of now (snapshot
 * and live records) and the windows before (history, read once the newest window is known, since event time need not
 * be near the wall clock). */

import * as api from "./api.js";
import { Results } from "./results.js";
import { METRICS_KEPT, WINDOWS_KEPT, HISTORY_INTERVAL_MS, HISTORY_SETTLE_MS, LAGGING_S, OVERDUE_TICKS } from "./limits.js";

/** Results of these kinds have a window per key (or none), so they cannot be lined up in one chart. */
const UNGROUPED = new Set(["session", "global"]);

function stepOf(info) {
  return info?.window?.slide_ms ?? info?.window?.size_ms ?? null;
}

export class Store {
  constructor({ changed, readers = api, now = Date.now }) {
    this.changed = changed;
    this.readers = readers;
    this.now = now;
    this.connection = { name: "connecting", retryAt: null, since: now(), reason: null };
    this.refusal = null;
    this.system = null;
    this.metrics = null;
    this.metricsAt = null;
    this.ring = [];
    this.sources = [];
    this.pipelines = new Map();
    this.lagTicks = new Map();
    this.listed = false;
  }

  /** (Re)reads what does not come by socket; called whenever the socket is live again. */
  async loadLists() {
    const { getPipelines, getSources } = this.readers;
    if (!this.metrics) this.#loadFirstNumbers();
    const [pipelines, sources] = await Promise.allSettled([getPipelines(), getSources()]);
    if (sources.status === "fulfilled") this.sources = sources.value;
    if (pipelines.status === "fulfilled") this.#takePipelines(pipelines.value);
    this.changed();
  }

  /** The socket gives metrics only once a second; the page need not be blank until then. */
  async #loadFirstNumbers() {
    const { getStats, getHealth } = this.readers;
    const [stats, health] = await Promise.allSettled([getStats(), getHealth()]);
    if (health.status === "fulfilled") this.system ??= health.value;
    if (stats.status === "fulfilled" && !this.metrics) this.#takeMetrics(stats.value);
    this.changed();
  }

  #takePipelines(items) {
    this.listed = true;
    const names = new Set(items.map(({ name }) => name));
    for (const name of this.pipelines.keys()) if (!names.has(name)) this.pipelines.delete(name);
    for (const info of items) {
      const pipeline = this.#pipeline(info.name);
      pipeline.info = info;
      const grouped = Boolean(info.window) && !UNGROUPED.has(info.window.kind);
      if (pipeline.results.grouped !== grouped) {
        const early = pipeline.results.records();
        pipeline.results = new Results({ grouped });
        for (const record of early) pipeline.results.apply(record);
      }
      this.#requestHistory(pipeline);
    }
    this.pipelines = new Map(items.map(({ name }) => [name, this.pipelines.get(name)]));
  }

  #pipeline(name) {
    let pipeline = this.pipelines.get(name);
    if (!pipeline) {
      pipeline = { name, info: null, results: new Results(), history: { wanted: false, since: null, busy: false, readAt: -Infinity } };
      this.pipelines.set(name, pipeline);
    }
    return pipeline;
  }

  takeConnection(state) {
    this.connection = state;
    this.changed();
  }

  takeRefusal(text) {
    this.refusal = text;
    this.changed();
  }

  /** A subscription was confirmed; what could not be resumed is read again. */
  takeSubscribed(type, { recovered }) {
    if (type === "aggregations") {
      this.refusal = null;
      if (recovered === false) this.#startAgain();
      this.loadLists();
    }
  }

  /** What is here may be of another life of the server, or of another server on this address. The snapshot and the history that
   *  follow say what is true; of pipelines without `store` they say little, so their records stay. */
  #startAgain() {
    for (const pipeline of this.pipelines.values()) {
      if (pipeline.info?.to?.includes("store") ?? true) pipeline.results.clear();
      this.#requestHistory(pipeline);
    }
  }

  takeData(type, data) {
    if (type === "metrics") this.#takeMetrics(data.metrics);
    else if (type === "system_status") this.system = data.system;
    else if (type === "aggregations") this.#takeRecord(data.result);
    this.changed();
  }

  #takeRecord(record) {
    const pipeline = this.#pipeline(record.pipeline);
    const { results } = pipeline;
    const newest = results.newest();
    results.apply(record);
    const step = stepOf(pipeline.info);
    const skipped = newest && step && record.window_start > newest.start + step;
    if (pipeline.info && (!newest || skipped)) this.#requestHistory(pipeline);
    if (!pipeline.info && this.listed) this.loadLists();
  }

  #takeMetrics(metrics) {
    const previous = this.metrics;
    this.metrics = metrics;
    this.metricsAt = this.now();
    this.ring.push(summarize(metrics, previous));
    if (this.ring.length > METRICS_KEPT) this.ring.shift();
    for (const [name, source] of Object.entries(metrics.sources ?? {})) this.lagTicks.set(name, isBehind(source) ? (this.lagTicks.get(name) ?? 0) + 1 : 0);
    for (const [name, { watermark }] of Object.entries(metrics.pipelines ?? {})) {
      const pipeline = this.pipelines.get(name);
      if (!pipeline?.info || typeof watermark !== "number") continue;
      if (pipeline.results.empty && pipeline.history.readAt === -Infinity) this.#requestHistory(pipeline);
      this.#checkOverdue(pipeline, watermark);
      this.#checkUnpushed(pipeline, watermark);
    }
  }

  /** Conflation may skip the final record of a window; a window that stays open past the watermark is read again. */
  #checkOverdue(pipeline, watermark) {
    for (const window of pipeline.results.list()) {
      if (window.closed || window.end === null || window.end > watermark) continue;
      if (++window.overdueTicks === OVERDUE_TICKS) this.#requestHistory(pipeline, window.start);
    }
  }

  /** Results of a pipeline without `live` in `to` come from the store alone. */
  #checkUnpushed(pipeline, watermark) {
    const newest = pipeline.results.newest();
    if (!newest || (pipeline.info.to ?? ["live"]).includes("live")) return;
    if (watermark >= newest.end + (stepOf(pipeline.info) ?? 0)) this.#requestHistory(pipeline, newest.start);
  }

  /** Asks for the windows before the newest known one, or from `since` on; requests are gathered for a moment, and
   *  each pipeline is read at most once per HISTORY_INTERVAL_MS. */
  #requestHistory(pipeline, since = null) {
    const { history } = pipeline;
    if (!history.wanted) history.since = since;
    else if (since === null || history.since !== null) history.since = since === null ? null : Math.min(since, history.since);
    history.wanted = true;
    if (history.busy) return;
    history.busy = true;
    const delay = Math.max(HISTORY_SETTLE_MS, history.readAt + HISTORY_INTERVAL_MS - this.now());
    setTimeout(() => this.#readHistory(pipeline), delay);
  }

  async #readHistory(pipeline) {
    const { history, name } = pipeline;
    const from = history.since ?? this.#historyStart(pipeline);
    history.wanted = false;
    history.since = null;
    try {
      if (from !== null && this.pipelines.get(name) === pipeline) {
        history.readAt = this.now();
        await this.readers.readHistory(name, from, (records) => {
          for (const record of records) pipeline.results.apply(record);
          this.changed();
        });
      }
    } catch {
      /* The live stream goes on without history; the next gap or reconnection asks again. */
    }
    history.busy = false;
    if (history.wanted) this.#requestHistory(pipeline, history.since);
  }

  #historyStart({ name, info, results }) {
    const step = stepOf(info);
    const watermark = this.metrics?.pipelines?.[name]?.watermark;
    const newest = results.newest()?.start ?? (typeof watermark === "number" ? watermark : null);
    return step && newest !== null ? newest - step * WINDOWS_KEPT : null;
  }
}

function isBehind({ lag, rate }) {
  return typeof lag === "number" && typeof rate === "number" && lag > 0 && lag >= rate * LAGGING_S;
}

function perSecond(now, before, seconds) {
  return typeof now === "number" && typeof before === "number" && now >= before && seconds > 0 ? (now - before) / seconds : null;
}

/** The largest watermark delay of any pipeline, and whose it is. */
export function worstWatermark(metrics) {
  let worst = { name: null, delayMs: null };
  for (const [name, { watermark_delay_ms: delayMs }] of Object.entries(metrics?.pipelines ?? {})) {
    if (typeof delayMs === "number" && (worst.delayMs === null || delayMs > worst.delayMs)) worst = { name, delayMs };
  }
  return worst;
}

export function notUsed(metrics) {
  if (typeof metrics?.bad_total !== "number" && typeof metrics?.too_late_total !== "number") return null;
  return (metrics.bad_total ?? 0) + (metrics.too_late_total ?? 0);
}

/** What the sparklines keep of one metrics message. */
function summarize(metrics, previous) {
  const seconds = (metrics.time - previous?.time) / 1000;
  const latency = metrics.latency?.end_to_end;
  return {
    time: metrics.time,
    eventsPerSecond: metrics.events_per_second,
    p50: latency?.p50_us ?? null,
    p99: latency?.p99_us ?? null,
    watermarkDelayMs: worstWatermark(metrics).delayMs,
    notUsedPerSecond: perSecond(notUsed(metrics), notUsed(previous), seconds),
  };
}
