/* The page of a busy server: it fills at once, moves, keeps its pace, and fits every screen. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open, textOf, until } from "./browser.mjs";
import { SHOP, Weir } from "./weir.mjs";

const PAGE_SIZE_MAX = 80 * 1024;
let browser, weir;

before(async () => {
  [browser, weir] = await Promise.all([launch(), new Weir(SHOP).start()]);
});
after(async () => {
  await browser?.close();
  await weir?.stop();
});

const chartWords = (page) => page.evaluate(() => document.querySelector(".chart .plot")?.getAttribute("aria-label") ?? "");
const drawn = (page) => until(() => chartWords(page), (words) => /newest [\d,.]+/.test(words), { what: "a drawn chart" });

test("charts, numbers and tables move by themselves", async () => {
  const { page, context, noise } = await open(browser, weir.url);
  const words = await drawn(page);
  const rows = await textOf(page, ".keys tbody");
  await until(() => chartWords(page), (now) => now !== words, { what: "another chart" });
  await until(() => textOf(page, ".keys tbody"), (now) => now !== rows, { what: "another table" });
  const [events] = await until(() => page.locator(".figures").allTextContents(), (texts) => /^\d/.test(texts[0]) && Number(texts[0].replace(",", "")) > 500);
  assert.ok(Number(events.replace(",", "")) < 2000, events);
  await until(() => page.locator(".sparkline .first").first().getAttribute("d"), (path) => (path.match(/L/g) ?? []).length >= 2, { what: "a sparkline" });
  assert.deepEqual(noise, []);
  await context.close();
});

test("the drawn chart holds ink, not only words", async () => {
  const { page, context } = await open(browser, weir.url);
  await drawn(page);
  const inked = () => page.evaluate(() => {
    const canvas = document.querySelector(".chart canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let i = 3; i < data.length; i += 4) if (data[i] > 200) count++;
    return count;
  });
  await until(inked, (count) => count > 500, { what: "ink" });
  await context.close();
});

test("the four numbers do not wait for the first message of the socket", async () => {
  const { page, context } = await open(browser, weir.url);
  await context.routeWebSocket(/\/ws$/, (socket) => {
    socket.onMessage((message) => {
      const { type } = JSON.parse(message).data;
      socket.send(JSON.stringify({ type: "data", data: { status: "subscribed", subscription_type: type } }));
    });
  });
  await page.reload();
  const tiles = await until(() => page.locator(".figures").allTextContents(), (texts) => /^[\d,]+$/.test(texts[0]), { what: "events per second" });
  assert.match(tiles[2], /m?s$/);
  await drawn(page);
  await context.close();
});

test("it asks for the current rows first", async () => {
  const { page, context, frames } = await open(browser, weir.url);
  await drawn(page);
  const { data } = frames.sent.find((message) => message.data.type === "aggregations");
  assert.equal(data.snapshot, true);
  assert.equal(data.conflate, "250ms");
  await context.close();
});

test("a card tells its pipeline in words", async () => {
  const { page, context } = await open(browser, weir.url);
  await drawn(page);
  assert.equal(await textOf(page, ".card .words"), 'sum of amount by country, every 1\u00a0s, where event_type == "purchase"');
  await page.getByRole("button", { name: "orders" }).click();
  await until(() => textOf(page, ".card .words"), (words) => words.startsWith("number of events by country"));
  await context.close();
});

test("the page is drawn at most four times a second, and not while it is hidden", async () => {
  const { page, context, frames } = await open(browser, weir.url);
  await drawn(page);
  await page.evaluate(() => {
    window.draws = [];
    new MutationObserver(() => window.draws.push(performance.now())).observe(document.getElementById("page"), { subtree: true, childList: true, characterData: true, attributes: true });
  });
  /* A chart is drawn after the frame that its card is drawn in: what follows within a few frames is of the same draw. */
  const drawsOf = (times) => times.filter((at, index) => index === 0 || at - times[index - 1] > 100);
  const draws = drawsOf(await until(() => page.evaluate(() => window.draws), (times) => drawsOf(times).length >= 8, { what: "eight draws" }));
  assert.ok(draws.at(-1) - draws[0] >= (draws.length - 1) * 240, `drawn at ${draws.map(Math.round)}`);
  const setHidden = (hidden) => page.evaluate((value) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => value });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await setHidden(true);
  const [seen, drawnSoFar] = [frames.received, await page.evaluate(() => window.draws.length)];
  await until(() => frames.received, (count) => count >= seen + 10, { what: "ten more frames" });
  assert.ok((await page.evaluate(() => window.draws.length)) - drawnSoFar <= 1);
  const hiddenDraws = await page.evaluate(() => window.draws.length);
  await setHidden(false);
  await until(() => page.evaluate(() => window.draws.length), (count) => count > hiddenDraws, { what: "a draw once it is seen" });
  await context.close();
});

for (const width of [360, 1280, 2560]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`it fits ${width} px in ${colorScheme}, first screen and detail`, async () => {
      const { page, context, noise } = await open(browser, weir.url, { width, colorScheme });
      await drawn(page);
      const measure = () => page.evaluate(() => {
        const luminance = (element) => getComputedStyle(element).backgroundColor.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
        const outside = [...document.querySelectorAll("main *")].filter((element) => !element.closest(".scroll, pre, .unseen, svg, .keys, .tile, .uplot")
          && element.getBoundingClientRect().right > innerWidth + 1);
        const cut = [...document.querySelectorAll(".figures, .figures > *")].filter((element) => element.scrollWidth > element.clientWidth + 1);
        return { cut: cut.map(({ textContent }) => textContent), overflow: document.documentElement.scrollWidth - innerWidth, background: luminance(document.body), outside: outside.map(({ className, tagName }) => `${tagName} ${className}`) };
      });
      const first = await measure();
      assert.equal(first.overflow, 0);
      assert.deepEqual(first.outside, []);
      assert.deepEqual(first.cut, []);
      assert.equal(first.background < 200, colorScheme === "dark");
      await page.locator("#card-revenue").click();
      await until(() => page.locator("table.records tbody tr").count(), (count) => count > 3, { what: "the table" });
      const detail = await measure();
      assert.equal(detail.overflow, 0);
      assert.deepEqual(detail.outside, []);
      assert.deepEqual(noise, []);
      await context.close();
    });
  }
}

test("script, style sheet, icon and document are at most 80 KB compressed, hashed, and under a strict policy", async () => {
  const read = async (path) => {
    const response = await fetch(new URL(path, weir.url), { headers: { "accept-encoding": "gzip" } });
    assert.equal(response.status, 200, path);
    const text = await response.text();
    return { text, headers: response.headers, size: Number(response.headers.get("content-length")) };
  };
  const document = await read("/");
  const files = [...document.text.matchAll(/(?:src|href)="(\/[^"]+\.(?:js|css|svg))"/g)].map(([, path]) => path);
  assert.equal(files.filter((path) => /^\/app\.[0-9a-f]+\.js$/.test(path)).length, 1, files.join());
  assert.equal(files.filter((path) => /^\/style\.[0-9a-f]+\.css$/.test(path)).length, 1, files.join());
  const read_files = await Promise.all(files.map(read));
  const size = [document, ...read_files].reduce((sum, file) => sum + file.size, 0);
  assert.ok(size > 0 && size <= PAGE_SIZE_MAX, `${size} bytes`);
  const policy = document.headers.get("content-security-policy");
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|\*/);
});
