/* States other than a busy, healthy server. The real weir shows those it can be brought into; the mock server the
 * others. */

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { launch, open, textOf, until } from "./browser.mjs";
import { MockServer } from "./mock_server.mjs";
import { ORDERS, Weir } from "./weir.mjs";

const run = promisify(execFile);
let browser;

before(async () => {
  browser = await launch();
});
after(() => browser?.close());

async function withWeir(use) {
  const weir = await new Weir(ORDERS).start();
  try {
    await use(weir);
  } finally {
    await weir.stop();
  }
}

async function withMock(options, use) {
  const mock = new MockServer(options);
  await mock.start();
  try {
    await use(mock);
  } finally {
    await mock.kill();
  }
}

test("the first screen of an empty server gives a line that makes the first result appear", () => withWeir(async (weir) => {
  const { page, context, noise } = await open(browser, weir.url, { permissions: ["clipboard-read", "clipboard-write"] });
  const line = await until(() => textOf(page, ".command code"), Boolean, { what: "the curl line" });
  assert.equal(await textOf(page, ".card .waiting"), "No event from orders yet.");
  await page.getByRole("button", { name: "Copy" }).click();
  await until(() => textOf(page, ".copy .said"), (text) => text === "copied");
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), line);
  const { stdout } = await run("sh", ["-c", line.replace(/^curl/, "curl -sS")]);
  assert.deepEqual(JSON.parse(stdout), { accepted: 1, rejected: 0, errors: [] });
  await until(() => textOf(page, ".keys tbody tr"), (text) => /^FR\s*\d/.test(text?.trim() ?? ""), { what: "the first result" });
  assert.equal(await page.locator(".empty").count(), 0);
  assert.deepEqual(noise, []);
  await context.close();
}));

test("a pipeline whose events are all filtered out says so, and by what", () => withWeir(async (weir) => {
  await weir.post("orders", [{ ts: Date.now(), country: "FR", amount: 3 }]);
  const { page, context } = await open(browser, weir.url);
  await until(() => textOf(page, ".card .waiting"), (text) => text === "All 1 events so far were filtered out by: amount > 10", { what: "the reason" });
  await context.close();
}));

/** Holds the write lock of an SQLite file until its input ends. */
async function lockDatabase(path) {
  const code = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1],timeout=20,isolation_level=None); c.execute('BEGIN IMMEDIATE'); print('locked',flush=True); sys.stdin.read()";
  const process = spawn("python3", ["-c", code, path], { stdio: ["pipe", "pipe", "inherit"] });
  await new Promise((resolve) => process.stdout.once("data", resolve));
  return process;
}

test("a store that cannot be written is named with its reason, and the results go on", () => withWeir(async (weir) => {
  const { page, context, noise } = await open(browser, weir.url);
  await until(() => textOf(page, ".health"), (text) => text === "everything is fine");
  const lock = await lockDatabase(join(weir.dataDirectory, "weir.db"));
  try {
    await weir.post("orders", [{ ts: Date.now(), country: "FR", amount: 30 }]);
    await until(() => textOf(page, ".health"), (text) => text === "store is degraded", { what: "the state of the store" });
    assert.match(await textOf(page, ".reasons li"), /^store is degraded: cannot write to .*weir\.db: another process holds the database/);
    assert.match(await page.title(), /^store is degraded/);
  } finally {
    lock.stdin.end();
  }
  await until(() => textOf(page, ".health"), (text) => text === "everything is fine", { what: "the end of the trouble" });
  assert.equal(await page.locator(".reasons").count(), 0);
  assert.deepEqual(noise, []);
  await context.close();
}));

test("a filter that matches nothing says so and can be cleared, on the first screen and in detail", () => withWeir(async (weir) => {
  await weir.post("orders", [{ ts: Date.now(), country: "FR", amount: 30 }, { ts: Date.now(), country: "DE", amount: 40 }]);
  const { page, context } = await open(browser, weir.url);
  await until(() => page.locator(".keys tbody tr:not(.blank)").count(), (count) => count === 2, { what: "two keys" });
  const box = page.getByRole("searchbox");
  await box.fill("country=de");
  await until(() => page.locator(".keys tbody tr:not(.blank)").count(), (count) => count === 1, { what: "one key" });
  await box.fill("nowhere");
  await until(() => textOf(page, ".nothing"), (text) => /^No pipeline or key matches nowhere/.test(text ?? ""));
  await page.getByRole("button", { name: "Clear the filter" }).click();
  await page.locator("#card-revenue").click();
  await until(() => page.locator("table.records tbody tr").count(), (count) => count === 2, { what: "the table" });
  await page.getByRole("searchbox").fill("revenue>35");
  await until(() => page.locator("table.records tbody tr").count(), (count) => count === 1, { what: "one row" });
  assert.match(await textOf(page, ".count"), /^1 of 2 records match/);
  await page.getByRole("searchbox").fill("revenue>3500");
  await until(() => textOf(page, ".nothing"), (text) => /^Nothing matches revenue>3500/.test(text ?? ""));
  await context.close();
}));

test("the detail shows the records the API gives, as table and raw, and copies them", () => withWeir(async (weir) => {
  await weir.post("orders", [{ ts: Date.now(), country: "FR", amount: 30.25 }, { ts: Date.now(), country: null, amount: 12 }]);
  const { page, context } = await open(browser, `${weir.url}#/revenue`, { permissions: ["clipboard-read", "clipboard-write"] });
  await until(() => page.locator("table.records tbody tr").count(), (count) => count === 2, { what: "the table" });
  const stored = async () => (await (await fetch(new URL("/api/v1/results/revenue", weir.url))).json()).items;
  const items = await until(stored, (records) => records.length === 2, { what: "stored records" });
  await page.getByText("Raw records").click();
  const shown = await until(() => textOf(page, ".raw pre"), Boolean, { what: "raw records" });
  const byId = (a, b) => (a.id < b.id ? -1 : 1);
  assert.deepEqual(shown.split("\n").map((line) => JSON.parse(line)).sort(byId), items.sort(byId));
  await page.getByRole("button", { name: "Copy table" }).click();
  await until(() => textOf(page, ".bar-of-tools .said"), (text) => text === "2 rows copied");
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(copied, /^country\trevenue\torders\twindow\tstate\ton time\tlate\ttoo late\nFR\t30\.25\t1\t/);
  await context.close();
}));

test("a source that falls behind is named with how much waits and for how long", () => withMock({ lagging: true }, async (mock) => {
  const { page, context, noise } = await open(browser, mock.url);
  await until(() => textOf(page, ".health"), (text) => text === "source events is 34 s behind", { what: "the state" });
  assert.match(await textOf(page, ".reasons li"), /source events is 34 s behind: 2\.20M events wait, [\d smin]+ at its rate/);
  assert.match(await textOf(page, ".sources .reason"), /2\.20M events wait/);
  assert.match(await textOf(page, ".sources tbody tr"), /2,204,115\s*34(\.0)?\s*s/);
  assert.deepEqual(noise, []);
  await context.close();
}));

test("a store that is down is named first, in the colour of errors", () => withMock({ system: { status: "down", components: { clients: { status: "degraded", reason: "2 slow" }, store: { status: "down", reason: "disk full: weir.db" } } } }, async (mock) => {
  const { page, context } = await open(browser, mock.url);
  await until(() => textOf(page, ".health"), (text) => text === "store is down, and 1 more", { what: "the state" });
  assert.deepEqual(await page.locator(".reasons li").allTextContents().then((texts) => texts.map((text) => text.trim())), ["store is down: disk full: weir.db", "clients is degraded: 2 slow"]);
  assert.equal(await page.locator(".health.down").count(), 1);
  await context.close();
}));

test("a position the server does not know leads to the same picture as a new page", () => withMock({}, async (mock) => {
  const { page, context } = await open(browser, mock.url);
  await until(() => textOf(page, ".keys tbody"), Boolean, { what: "rows" });
  await until(() => textOf(page, ".health"), (text) => text === "everything is fine");
  const reads = mock.historyReads.length;
  mock.unknownPositions = true;
  await mock.kill();
  await until(() => textOf(page, ".health"), (text) => text === "disconnected");
  await mock.restart();
  await until(() => mock.historyReads.length, (count) => count > reads, { what: "history read again" });
  await until(() => textOf(page, ".health"), (text) => text === "everything is fine");
  await context.close();
}));
