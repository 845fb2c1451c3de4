/* Seeded results, metrics and lists as a weir server would give them: the same seed and clock, the same data. Every
 * value is a function of (pipeline, window, key), so history, snapshot and live records agree by construction. */

export const PIPELINES = [
  {
    name: "revenue", description: 'orders = count(), revenue = sum(properties.amount), p95 = percentile(properties.amount, 95), buyers = distinct_count(user_id) by country, every 10 s where event_type == "purchase"',
    from: ["events"], window: { kind: "tumbling", size_ms: 10_000 }, key: ["country"],
    aggregates: [
      { name: "orders", expression: "count()" }, { name: "revenue", expression: "sum(properties.amount)" },
      { name: "p95", expression: "percentile(properties.amount, 95)" }, { name: "buyers", expression: "distinct_count(user_id)" },
    ],
    where: 'event_type == "purchase" && properties.amount > 0', late: "update", allowed_lateness_ms: 10_000, to: ["store", "live"],
  },
  {
    name: "page_views", description: "views = count() by page, every 2 s",
    from: ["clicks"], window: { kind: "tumbling", size_ms: 2000 }, key: ["page"], aggregates: [{ name: "views", expression: "count()" }],
    where: null, late: "drop", allowed_lateness_ms: 10_000, to: ["store", "live"],
  },
  {
    name: "errors", description: "errors = count(), slowest = max(duration_ms), every 5 s where status >= 500",
    from: ["clicks"], window: { kind: "tumbling", size_ms: 5000 }, key: [],
    aggregates: [{ name: "errors", expression: "count()" }, { name: "slowest", expression: "max(duration_ms)" }],
    where: "status >= 500", late: "update", allowed_lateness_ms: 10_000, to: ["store", "live"],
  },
  {
    name: "flight_delays", description: "delay = mean(arr_delay), spread = stddev(arr_delay) by carrier, origin, every 1 min",
    from: ["flights"], window: { kind: "tumbling", size_ms: 60_000 }, key: ["carrier", "origin"],
    aggregates: [{ name: "delay", expression: "mean(arr_delay)" }, { name: "spread", expression: "stddev(arr_delay)" }],
    where: null, late: "dlq", allowed_lateness_ms: 60_000, to: ["store", "live"],
  },
];

export const SOURCES = [
  { name: "events", kind: "kafka" },
  { name: "clicks", kind: "http", ingest_url: "/api/v1/sources/clicks/events", time: "ts" },
  { name: "flights", kind: "file" },
];

const KEYS = {
  revenue: ["FR", "DE", "US", "JP", "BR", "IN", "GB", null].map((country) => ({ country })),
  page_views: Array.from({ length: 40 }, (_, i) => ({ page: i === 0 ? "/" : `/articles/${String(i).padStart(2, "0")}` })),
  errors: [{}],
  flight_delays: ["UA", "B6", "EV", "DL"].flatMap((carrier) => ["JFK", "LGA"].map((origin) => ({ carrier, origin }))),
};

/** A number in [0, 1) from any values: FNV-1a, then a finishing mix. */
export function noise(...parts) {
  let hash = 2166136261;
  for (const character of parts.join("|")) hash = Math.imul(hash ^ character.charCodeAt(0), 16777619);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
  return ((hash ^ (hash >>> 15)) >>> 0) / 2 ** 32;
}

/** A slow wave with noise, so that charts look like traffic. */
function level(seed, name, keyIndex, start, size) {
  const wave = 1 + 0.35 * Math.sin(start / (size * 9) + keyIndex) + 0.12 * Math.sin(start / (size * 2.3));
  return (wave * (0.85 + 0.3 * noise(seed, name, keyIndex, start))) / (1 + keyIndex * 0.45);
}

function valuesOf(name, amount, seed, start) {
  const events = Math.max(1, Math.round(amount * 120));
  if (name === "revenue") return { orders: events, revenue: Math.round(events * 28.43 * 100) / 100, p95: Math.round((60 + 40 * amount) * 10) / 10, buyers: Math.round(events * 2.8) };
  if (name === "page_views") return { views: events * 3 };
  if (name === "errors") return { errors: Math.round(amount * 14), slowest: Math.round(300 + 900 * noise(seed, "slow", start)) };
  return { delay: amount * 9.37 - 3, spread: 20 + amount * 3 };
}

/** The record of one key in one window; `part` in (0, 1] is how much of an open window has passed. */
export function recordOf(seed, pipeline, start, keyIndex, { emit = "final", revision = 0, part = 1 } = {}) {
  const size = pipeline.window.size_ms;
  const key = KEYS[pipeline.name][keyIndex];
  const amount = level(seed, pipeline.name, keyIndex, start, size) * part + revision * 0.01;
  const values = valuesOf(pipeline.name, amount, seed, start);
  const count = Math.max(1, Math.round(amount * 120));
  const tooLate = noise(seed, "too late", pipeline.name, keyIndex, start) > 0.93 ? 2 : 0;
  return {
    id: `${pipeline.name}|${JSON.stringify(Object.values(key))}|${start}`, pipeline: pipeline.name, window_start: start, window_end: start + size,
    key, values, emit, revision,
    receipt: { on_time: count, late_accepted: revision, late_dropped: emit === "early" ? 0 : tooLate, type_errors: 0, closed_by: emit === "early" ? null : "watermark", watermark: start + size + 4 },
  };
}

export function recordsOf(seed, pipeline, start, options) {
  return KEYS[pipeline.name].map((_, keyIndex) => {
    const revised = options?.emit === undefined && noise(seed, "revised", pipeline.name, keyIndex, start) > 0.97;
    return recordOf(seed, pipeline, start, keyIndex, revised ? { emit: "update", revision: 3 } : options);
  });
}

const stage = (p50, p99, count) => ({ p50_us: p50, p95_us: Math.round(p99 * 0.7), p99_us: p99, p999_us: p99 * 2, mean_us: p50 * 1.2, min_us: Math.round(p50 / 4), max_us: p99 * 3, count });

export function metricsOf(seed, now, startedAt, { idle = false, lagging = false } = {}) {
  const ticks = Math.max(0, Math.floor((now - startedAt) / 1000));
  const wobble = noise(seed, "metrics", Math.floor(now / 1000));
  const rate = idle ? 0 : Math.round(48_000 + 6000 * Math.sin(now / 20_000) + 2500 * wobble);
  const total = idle ? 0 : 1_283_400 + ticks * 48_000;
  const delay = lagging ? 42_000 + ticks * 900 : 5100 + Math.round(400 * wobble);
  const unknown = { p50_us: null, p95_us: null, p99_us: null, p999_us: null, mean_us: null, min_us: null, max_us: null, count: 0 };
  const at = (p50, p99) => (idle ? unknown : stage(Math.round(p50 * (0.9 + 0.2 * wobble)), Math.round(p99 * (0.85 + 0.4 * wobble)), 61_244));
  const watermark = idle ? null : now - delay;
  const used = (share) => (idle ? 0 : Math.round(total * share));
  const pipelineCounters = (share, dropped) => ({ used: used(share), filtered: used(0.02), too_late: idle ? 0 : dropped, late_accepted: idle ? 0 : dropped * 4, watermark, watermark_delay_ms: idle ? null : delay, open_windows: idle ? 0 : 2, keys: idle ? 0 : 40, results: used(share / 50) });
  return {
    time: now, uptime_s: 3725 + ticks, events_per_second: rate, events_total: total, results_per_second: idle ? 0 : 64.5,
    bad_total: idle ? 0 : 213 + Math.floor(ticks / 4), late_total: idle ? 0 : 4021 + ticks, too_late_total: idle ? 0 : 87 + Math.floor(ticks / 7), filtered_total: used(0.02),
    latency: { end_to_end: at(3140, 12_400), accept: at(420, 2600), decode: at(96, 310), window: at(140, 480), merge: at(210, 900), store: at(1650, 7800), socket: at(330, 1500) },
    sources: {
      events: { in: used(0.7), bad: idle ? 0 : 102, rate: rate * 0.7, lag: lagging ? 2_204_115 : 0, lag_seconds: lagging ? 34 : 0, watermark, watermark_delay_ms: idle ? null : delay, kafka: { group: "weir", joined: true, partitions: 8, rebalances: 3, fetched_messages: used(0.7), fetched_bytes: used(0.7) * 200, fetch_rate: rate * 0.7, round_trip_us: 1240 } },
      clicks: { in: used(0.2), bad: idle ? 0 : 111, rate: rate * 0.2, lag: 0, lag_seconds: 0, watermark, watermark_delay_ms: idle ? null : 5100 },
      flights: { in: used(0.1), bad: 0, rate: rate * 0.1, lag: null, lag_seconds: null, watermark, watermark_delay_ms: idle ? null : 5100 },
    },
    pipelines: { revenue: pipelineCounters(0.6, 61), page_views: pipelineCounters(0.2, 0), errors: pipelineCounters(0.01, 26), flight_delays: pipelineCounters(0.1, 0) },
    kafka_producers: [],
    memory_bytes: 41_000_000, clients: 3,
  };
}

export const FINE = { store: { status: "ok", reason: "" }, "source.events": { status: "ok", reason: "" }, "source.clicks": { status: "ok", reason: "" } };
