/* What the page shows of aggregates whose value is a list: the most frequent values of a pipeline with keys and of one without. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open, textOf, until } from "./browser.mjs";
import { Weir } from "./weir.mjs";

const FREQUENT = `
sources:
  shop:
    generator: { rate: 500/s, users: 50 }
    time: timestamp
    max_out_of_orderness: 100ms
    idle_timeout: 2s
pipelines:
  countries:
    from: shop
    key: [event_type]
    window: { tumbling: 1s }
    aggregates: { countries: "top(properties.country, 10)", different: distinct_count(properties.country) }
  kinds:
    from: shop
    window: { tumbling: 1s }
    aggregates: { kinds: "top(event_type, 2)" }
`;
let browser, weir;

before(async () => {
  [browser, weir] = await Promise.all([launch(), new Weir(FREQUENT).start()]);
});
after(async () => {
  await browser?.close();
  await weir?.stop();
});

/* "FR 21 · US 19 · DE 7 …": three of them, the rest on hover. */
const ENTRY = "\\S+ [\\d,]+";

test("cards and tables tell a list of frequent values in words, and the chart draws the count of the first", async () => {
  const { page, context, noise } = await open(browser, weir.url);
  const cells = () => page.locator(".keys td.right").allTextContents();
  const texts = await until(cells, (all) => all.some((text) => text.endsWith("…")) && all.length > 3, { what: "lists in cards" });
  assert.ok(texts.filter((text) => text.trim()).every((text) => new RegExp(`^${ENTRY}( · ${ENTRY}){0,2}( …)?$`).test(text)), texts.join(" | "));
  const words = await until(() => page.locator(".chart .plot").evaluateAll((all) => all.map((one) => one.getAttribute("aria-label"))), (all) => all.length === 2 && all.every((one) => /newest [\d,]+/.test(one)), { what: "drawn charts" });
  assert.ok(!words.some((text) => text.includes("NaN")), words.join(" | "));
  await page.goto(`${weir.url}#/countries`);
  const title = () => page.evaluate(() => [...document.querySelectorAll("td span[title]")].map((cell) => cell.title).find((text) => text.split(" · ").length > 3) ?? null);
  assert.ok(await until(title, (text) => text !== null, { what: "the whole list on hover" }));
  assert.ok(!(await textOf(page, "main")).includes("[object"));
  assert.deepEqual(noise, []);
  await context.close();
});
