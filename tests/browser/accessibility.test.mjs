/* The page by keyboard alone, for screen readers, and by axe-core's rules. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { launch, open, textOf, until } from "./browser.mjs";
import { ORDERS, SHOP, Weir } from "./weir.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let browser, weir, quiet;

before(async () => {
  [browser, weir, quiet] = await Promise.all([launch(), new Weir(SHOP).start(), new Weir(ORDERS).start()]);
});
after(async () => {
  await browser?.close();
  await weir?.stop();
  await quiet?.stop();
});

const ready = (page) => until(() => page.locator(".keys tbody tr:not(.blank)").count(), (count) => count > 3, { what: "rows" });

async function findings(page) {
  /* evaluate() passes by the page's policy, which allows no inline script. */
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(" | ")}`);
}

for (const colorScheme of ["light", "dark"]) {
  for (const width of [360, 1280]) {
    test(`axe finds nothing at ${width} px in ${colorScheme}`, async () => {
      const { page, context } = await open(browser, weir.url, { colorScheme, width });
      await ready(page);
      assert.deepEqual(await findings(page), []);
      await page.locator("#card-revenue").click();
      await until(() => page.locator("table.records tbody tr").count(), (count) => count > 3, { what: "the table" });
      await page.getByText("Raw records").click();
      await until(() => textOf(page, ".raw pre"), Boolean, { what: "raw records" });
      assert.deepEqual(await findings(page), []);
      await context.close();
    });
  }

  test(`axe finds nothing in the empty and the disconnected state in ${colorScheme}`, async () => {
    const { page, context } = await open(browser, quiet.url, { colorScheme });
    await until(() => textOf(page, ".command code"), Boolean, { what: "the curl line" });
    assert.deepEqual(await findings(page), []);
    await context.routeWebSocket(/\/ws$/, (socket) => socket.close({ code: 1013 }));
    await page.reload();
    await until(() => textOf(page, ".health"), (text) => text === "disconnected", { what: "the state disconnected" });
    assert.deepEqual(await findings(page), []);
    await context.close();
  });
}

const focused = (page) => page.evaluate(() => {
  const { activeElement: element } = document;
  const style = getComputedStyle(element);
  const after = getComputedStyle(element, "::after");
  return { id: element.id, tag: element.tagName, text: element.textContent, role: element.getAttribute("role"), outlined: style.outlineStyle !== "none" || after.outlineStyle !== "none" };
});

async function tabTo(page, wanted) {
  for (let step = 0; step < 60; step++) {
    await page.keyboard.press("Tab");
    const element = await focused(page);
    assert.ok(element.tag === "BODY" || element.outlined, `no visible focus on ${JSON.stringify(element)}`);
    if (wanted(element)) return element;
  }
  throw new Error("Tab never came there");
}

test("everything is reached by keyboard, with a visible focus, and Escape leads back", async () => {
  const { page, context } = await open(browser, weir.url);
  await ready(page);
  await until(async () => {
    const { tag } = await focused(page);
    if (tag !== "INPUT") await page.keyboard.press("/");
    return tag;
  }, (tag) => tag === "INPUT", { what: "focus on the filter" });
  await page.keyboard.press("Control+A");
  await page.keyboard.type("US");
  await until(() => page.locator(".card").count(), (count) => count === 1, { what: "one card" });
  await page.keyboard.press("Escape");
  await until(() => page.locator(".card").count(), (count) => count === 2, { what: "both cards" });
  await tabTo(page, ({ id }) => id === "card-revenue");
  await tabTo(page, ({ text, tag }) => tag === "BUTTON" && text === "orders");
  await page.keyboard.press("Space");
  await until(() => page.locator('.switch button[aria-pressed="true"]').first().textContent(), (text) => text === "orders");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Shift+Tab");
  assert.equal((await focused(page)).id, "card-revenue");
  await page.keyboard.press("Enter");
  await until(() => focused(page), ({ id }) => id === "detail-head", { what: "focus on the heading" });
  await tabTo(page, ({ text, tag }) => tag === "BUTTON" && text === "country");
  await page.keyboard.press("Enter");
  await until(() => page.locator('th[aria-sort="ascending"]').count(), (count) => count === 1, { what: "the order" });
  const keys = await page.locator("table.records tbody th").allTextContents();
  assert.deepEqual(keys, [...keys].sort());
  await page.keyboard.press("Escape");
  await until(() => focused(page), ({ id }) => id === "card-revenue", { what: "focus back on the card" });
  await context.close();
});

test("charts have words, tables have captions and scopes", async () => {
  const { page, context } = await open(browser, weir.url);
  await ready(page);
  const chart = page.getByRole("img", { name: /^revenue of revenue over \d+ windows? from .*newest [\d,.]+, lowest .*, highest/ });
  assert.equal(await chart.count(), 1);
  const faults = await page.evaluate(() => [...document.querySelectorAll("table")].filter((table) => !table.caption?.textContent.trim()
    || [...table.querySelectorAll("thead th")].some((cell) => !cell.ariaHidden && cell.scope !== "col")
    || [...table.querySelectorAll("tbody tr:not(.blank)")].some((row) => row.querySelector("th")?.scope !== "row")).length);
  assert.equal(faults, 0);
  assert.ok((await page.getByRole("table").count()) >= 3);
  await context.close();
});

test("nothing is animated, whatever the system prefers", async () => {
  const { page, context } = await open(browser, weir.url, { reducedMotion: "reduce" });
  await ready(page);
  const moving = await page.evaluate(() => [...document.querySelectorAll("*")].filter((element) => {
    const style = getComputedStyle(element);
    return style.animationName !== "none" || style.transitionDuration !== "0s" || style.scrollBehavior === "smooth";
  }).length);
  assert.equal(moving, 0);
  assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
  await context.close();
});
