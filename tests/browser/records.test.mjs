/* What the page makes of records and definitions, without a browser. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "./browser.mjs";
import { approximation, frequencyText, isFrequencyList } from "../../web/cells.js";
import { createFilter } from "../../web/filter.js";
import { duration, number, time, uptime, windowText } from "../../web/format.js";
import { formatJson, parseJson } from "../../web/json.js";
import { decadesOf } from "../../web/latency.js";
import { RECORDS_KEPT, WINDOWS_KEPT } from "../../web/limits.js";
import { Results, mainAggregate, sizeOf, supersedes, topRecords } from "../../web/results.js";
import { readRoute, routeHref } from "../../web/route.js";
import { curlLine } from "../../web/sample_event.js";
import { LiveSocket, retryDelay } from "../../web/socket.js";
import { Store } from "../../web/store.js";
import { troubles } from "../../web/troubles.js";
import { aggregateWords, pipelineWords } from "../../web/words.js";

const receipt = (on_time, late_accepted = 0) => ({ on_time, late_accepted, late_dropped: 0, type_errors: 0 });
const record = (country, start, values, more = {}) => ({
  id: `revenue|${JSON.stringify([country])}|${start}`, pipeline: "revenue", window_start: start, window_end: start + 1000,
  key: { country }, values, emit: "final", revision: 0, receipt: receipt(1), ...more,
});

test("closed supersedes early, then the revision decides, then the events", () => {
  const early = record("FR", 0, {}, { emit: "early", receipt: receipt(9) });
  const final = record("FR", 0, {}, { receipt: receipt(2) });
  const update = record("FR", 0, {}, { emit: "update", revision: 1, receipt: receipt(2, 1) });
  assert.ok(supersedes(final, early) && !supersedes(early, final));
  assert.ok(supersedes(update, final) && !supersedes(final, update));
  assert.ok(supersedes(record("FR", 0, {}, { receipt: receipt(3) }), final) && !supersedes(final, final));
});

test("records in any order, and repeated, leave the same windows", () => {
  const records = [];
  for (let start = 0; start < 5000; start += 1000) {
    for (const country of ["FR", "DE"]) {
      records.push(record(country, start, { n: 1 }, { emit: "early" }), record(country, start, { n: 2 }), record(country, start, { n: 3 }, { emit: "update", revision: 1 }));
    }
  }
  const picture = (order) => {
    const results = new Results();
    for (const one of order) results.apply(one);
    return results.list().map((window) => [window.start, window.closed, window.revised, [...window.rows.values()].map(({ id, values }) => `${id} ${values.n}`).sort()]);
  };
  const expected = picture(records);
  assert.equal(expected.length, 5);
  assert.deepEqual(picture([...records].reverse()), expected);
  assert.deepEqual(picture([...records, ...records]), expected);
  const seed = 20261124;
  const shuffled = records.map((one, index) => [Math.imul(index + 1, seed) >>> 0, one]).sort(([a], [b]) => a - b).map(([, one]) => one);
  assert.deepEqual(picture(shuffled), expected, `seed ${seed}`);
});

test("a list of frequent values is told in words, and goes by the count of the first", () => {
  const list = [{ value: "JFK", count: 1812 }, { value: null, count: 640 }, { value: { a: 1 }, count: 9 }, { value: 7, count: 1 }];
  assert.ok(isFrequencyList(list) && isFrequencyList([]) && !isFrequencyList([1]) && !isFrequencyList(7));
  assert.equal(frequencyText(list, 3), 'JFK 1,812 · null 640 · {"a":1} 9 …');
  assert.equal(frequencyText(list.slice(0, 1), 3), "JFK 1,812");
  assert.equal(frequencyText([]), "no frequent value");
  assert.deepEqual([sizeOf(list), sizeOf([]), sizeOf(null), sizeOf(2.5), sizeOf(3n), sizeOf("text")], [1812, null, null, 2.5, 3, null]);
  const rows = [record("none", 0, { t: [] }), record("few", 0, { t: list.slice(1) }), record("many", 0, { t: list }), record("null", 0, { t: null })];
  assert.deepEqual(topRecords(rows, "t").map(({ key }) => key.country), ["many", "few", "none", "null"]);
});

test("only values that a sketch has made are called approximate", () => {
  const of = (count) => record("FR", 0, {}, { receipt: receipt(count) });
  assert.equal(approximation("median(x)", 3, of(64)), null);
  assert.match(approximation("percentile(x, 95)", 3, of(65)), /1 %/);
  assert.equal(approximation("distinct_count(x)", 1024, of(5000)), null);
  assert.match(approximation("distinct_count(x)", 1025, of(5000)), /0.82 %/);
});

test("windows and records stay within their limits", () => {
  const results = new Results();
  for (let i = 0; i < WINDOWS_KEPT * 3; i++) results.apply(record("FR", i * 1000, { n: 1 }));
  assert.equal(results.list().length, WINDOWS_KEPT);
  const wide = new Results();
  for (let i = 0; i < RECORDS_KEPT + 10; i++) wide.apply(record(`k${i}`, 0, { n: 1 }));
  assert.equal(wide.recordCount, RECORDS_KEPT);
  assert.equal(wide.newest().omittedCount, 10);
});

test("integers beyond 2^53 keep their digits", () => {
  const text = '{"values":{"sum":170141183460469231731687303715884105727,"n":3,"mean":0.5},"big":-9007199254740993}';
  const parsed = parseJson(text);
  if (typeof parsed.values.sum === "bigint") assert.equal(formatJson(parsed), text);
  assert.equal(formatJson(170141183460469231731687303715884105727n), "170141183460469231731687303715884105727");
  assert.equal(number(9007199254740993n), "9,007,199,254,740,993");
});

test("filters: parts of keys, exact names, comparisons; all must hold", () => {
  const fr = record("FR", 0, { revenue: 120, orders: 2 });
  const none = record(null, 0, { revenue: 5, orders: 1 });
  const matching = (text) => [fr, none].filter((one) => createFilter(text).matches(one)).map(({ key }) => key.country);
  assert.equal(createFilter("  "), null);
  assert.deepEqual(matching("f"), ["FR"]);
  assert.deepEqual(matching("country=fr"), ["FR"]);
  assert.deepEqual(matching("country=null"), [null]);
  assert.deepEqual(matching("revenue>100"), ["FR"]);
  assert.deepEqual(matching("values.revenue<=5 key.country=null"), [null]);
  assert.deepEqual(matching("revenue>100 orders>2"), []);
  assert.deepEqual(matching("nonsense=1"), []);
});

test("expressions read as words", () => {
  const words = {
    "count()": "number of events", "count(user_id)": "number of events with user_id", "sum(properties.amount)": "sum of amount", "sum(a.b * 2)": "sum of a.b * 2",
    "percentile(properties.amount, 95)": "95th percentile of amount", "percentile(x, 2)": "2nd percentile of x", "percentile(x, 11)": "11th percentile of x",
    "percentile(x, 99.9)": "99.9th percentile of x", "distinct_count(user_id)": "number of distinct user_id", "top(page, 3)": "3 most frequent page", "max(x)": "largest x", "a + b": "a + b",
  };
  for (const [expression, expected] of Object.entries(words)) assert.equal(aggregateWords(expression), expected);
  const info = { key: ["country", "city"], window: { kind: "tumbling", size_ms: 10_000 }, where: "amount > 0" };
  assert.equal(pipelineWords(info, { expression: "sum(amount)" }), "sum of amount by country and city, every 10\u00a0s, where amount > 0");
  assert.equal(mainAggregate([{ name: "n", expression: "count()" }, { name: "s", expression: "sum(x)" }]), "s");
});

test("the sample event meets the condition and fills keys and values", () => {
  const pipelines = [{ name: "revenue", from: ["orders"], where: 'type == "purchase" && p.amount > 10', key: ["country"], aggregates: [{ name: "r", expression: "sum(p.amount)" }, { name: "u", expression: "distinct_count(user_id)" }] }];
  const line = curlLine({ name: "orders", time: "ts" }, pipelines, "http://localhost:8765", 0);
  const [, url, body] = /^curl -X POST (\S+) -d '(.*)'$/.exec(line);
  assert.equal(url, "http://localhost:8765/api/v1/sources/orders/events");
  assert.deepEqual(JSON.parse(body), { ts: "1970-01-01T00:00:00.000Z", type: "purchase", p: { amount: 52 }, country: "FR", user_id: "user-1" });
});

test("numbers, times and routes", () => {
  assert.equal(number(null), "–");
  assert.equal(number(-1234567), "−1,234,567");
  assert.deepEqual(duration(5230), ["5.23", "s"]);
  assert.equal(uptime(3725), "1 h 2 min");
  assert.equal(uptime(63.4), "1 min 3 s");
  const noon = new Date(2026, 10, 24, 12, 0, 0).getTime();
  assert.equal(time(noon, noon), "12:00:00");
  assert.equal(windowText(noon, noon + 10_000, noon + 86_400_000), "2026-11-24 12:00:00 – 12:00:10");
  assert.deepEqual(readRoute(routeHref("a/b ü", "x>1 y")), { name: "a/b ü", filter: "x>1 y" });
  assert.deepEqual(readRoute("#/%E0%A4%A"), { name: null, filter: "" });
  assert.equal(decadesOf(null), 4);
  assert.equal(decadesOf({ store: { p99_us: 623_000 } }), 6);
});

/* A socket and a clock that the test plays. */
function playedSocket() {
  const timers = new Map();
  const sockets = [];
  let [now, nextTimer] = [0, 1];
  const environment = {
    openSocket: () => {
      const socket = { sent: [], close() {}, send: (text) => socket.sent.push(JSON.parse(text).data) };
      sockets.push(socket);
      return socket;
    },
    setTimeout: (call, ms) => (timers.set(nextTimer, { call, at: now + ms }), nextTimer++),
    clearTimeout: (timer) => timers.delete(timer),
    now: () => now,
    random: () => 1,
  };
  const pass = (ms) => {
    now += ms;
    for (const [id, { call, at }] of [...timers]) if (at <= now && timers.delete(id)) call();
  };
  return { environment, sockets, pass };
}

test("waits between attempts double up to a limit and are jittered", () => {
  assert.deepEqual([0, 1, 2, 20].map((attempt) => retryDelay(attempt, 1)), [500, 1000, 2000, 15_000]);
  assert.equal(retryDelay(20, 0), 7500);
});

test("a silent connection is given up, and the next one resumes where the last delivery was", () => {
  const { environment, sockets, pass } = playedSocket();
  const states = [];
  const quiet = () => {};
  const live = new LiveSocket("ws://x/ws", { aggregations: { snapshot: true }, metrics: {} }, { data: quiet, subscribed: quiet, refused: quiet, state: ({ name }) => states.push(name) }, environment);
  const receive = (socket, message) => socket.onmessage({ data: JSON.stringify(message) });
  live.start();
  sockets[0].onopen();
  assert.deepEqual(sockets[0].sent, [{ type: "aggregations", filters: {}, snapshot: true }, { type: "metrics", filters: {} }]);
  receive(sockets[0], { type: "data", data: { status: "subscribed", subscription_type: "aggregations" } });
  const delivery = (type, position) => ({ type: "data", data: { subscription_type: type }, metadata: { position } });
  receive(sockets[0], { type: "data", data: { batch: true, messages: [delivery("aggregations", "1-5"), delivery("aggregations", "1-6"), delivery("metrics", "1-e9")] } });
  pass(13_000);
  assert.deepEqual(states, ["connecting", "live", "waiting"]);
  pass(500);
  sockets[1].onopen();
  assert.deepEqual(sockets[1].sent, [{ type: "aggregations", filters: {}, snapshot: true, since: "1-6" }, { type: "metrics", filters: {} }]);
  receive(sockets[1], { type: "data", data: { status: "subscribed", subscription_type: "aggregations", recovered: false } });
  sockets[1].onclose({ code: 1006, reason: "" });
  pass(15_000);
  sockets[2].onopen();
  assert.equal(sockets[2].sent[0].since, undefined);
});

test("after a gap that cannot be filled only what the server says now is shown", async () => {
  const info = { name: "revenue", to: ["store", "live"], window: { kind: "tumbling", size_ms: 1000 }, key: ["country"], aggregates: [] };
  const empty = async () => [];
  const history = { asked: 0 };
  const store = new Store({ changed() {}, readers: { getPipelines: async () => [info], getSources: empty, getStats: empty, getHealth: empty, readHistory: async () => history.asked++ } });
  store.metrics = { pipelines: {}, sources: {} };
  await store.loadLists();
  const windows = () => store.pipelines.get("revenue").results.list().map(({ start }) => start);
  store.takeData("aggregations", { result: record("FR", 1000, { n: 1 }) });
  store.takeSubscribed("aggregations", { recovered: true });
  assert.deepEqual(windows(), [1000]);
  store.takeSubscribed("aggregations", { recovered: false });
  store.takeData("aggregations", { result: record("FR", 7000, { n: 1 }) });
  assert.deepEqual(windows(), [7000]);
  await until(() => history.asked, (count) => count > 0, { what: "history" });
});

test("a source counts as behind only after it was so for three messages", () => {
  const store = new Store({ changed() {}, readers: {} });
  store.sources = [{ name: "events", kind: "kafka" }, { name: "old", kind: "file" }];
  store.system = { status: "ok", components: { "source.old": { status: "ok" }, store: { status: "down", reason: "disk full" } } };
  const metrics = (lag) => ({ time: 0, pipelines: {}, sources: { events: { lag, rate: 100 }, old: { lag: 1e9, rate: 1 } } });
  const names = () => troubles(store).map(({ name, word, reason }) => `${name} is ${word}: ${reason}`);
  for (const lag of [5000, 5000, 900, 5000, 5000]) store.takeData("metrics", { metrics: metrics(lag) });
  assert.deepEqual(names(), ["store is down: disk full"]);
  store.takeData("metrics", { metrics: metrics(5000) });
  assert.deepEqual(names(), ["store is down: disk full", "source events is behind: 5.00k events wait, 50 s at its rate"]);
  store.takeData("metrics", { metrics: { ...metrics(5000), sources: { events: { lag: 5000, lag_seconds: 12.4, rate: 100 } } } });
  assert.deepEqual(names(), ["store is down: disk full", "source events is 12 s behind: 5.00k events wait, 50 s at its rate"]);
});
