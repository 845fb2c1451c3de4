/* What a kill -9 of the server looks like: the last data stays, greyed, with a countdown; a restart is found without a
 * hand, and what was missed is asked for by position. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open, textOf, until } from "./browser.mjs";
import { SHOP, Weir } from "./weir.mjs";

let browser, weir;

before(async () => {
  [browser, weir] = await Promise.all([launch(), new Weir(SHOP).start()]);
});
after(async () => {
  await browser?.close();
  await weir?.stop();
});

const newestWindow = (page) => textOf(page, ".receipt time");

test("after kill -9 and restart the page goes on from its last position", async () => {
  const { page, context, noise, frames } = await open(browser, weir.url);
  await until(() => newestWindow(page), Boolean, { what: "a result" });
  await until(() => textOf(page, ".health"), (text) => text === "everything is fine");
  await until(() => page.locator(".keys tbody tr:not(.blank)").count(), (count) => count > 3, { what: "rows of keys" });
  await weir.kill();

  await until(() => textOf(page, ".health"), (text) => text === "disconnected", { what: "the state disconnected" });
  await until(() => textOf(page, ".notice"), (text) => /What you see is from \d\d:\d\d:\d\d.*Next attempt in \d+ s/.test(text ?? ""), { what: "the countdown" });
  assert.equal(await page.locator("main.stale").count(), 1);
  assert.match(await page.title(), /^disconnected/);
  const kept = await newestWindow(page);
  assert.ok(kept && (await page.locator(".keys tbody tr:not(.blank)").count()) > 3);
  const grey = await page.evaluate(() => getComputedStyle(document.querySelector("main.stale > section")).filter);
  assert.match(grey, /grayscale/);

  await weir.start();
  await page.getByRole("button", { name: "Try now" }).click({ timeout: 500 }).catch(() => {});
  await until(() => textOf(page, ".health"), (text) => text === "everything is fine", { what: "the state fine" });
  assert.equal(await page.locator("main.stale, .notice").count(), 0);
  await until(() => newestWindow(page), (text) => text !== kept, { what: "newer windows" });

  const subscribes = frames.sent.filter(({ data }) => data.type === "aggregations");
  assert.ok(subscribes.length >= 2);
  assert.equal(subscribes[0].data.since, undefined);
  assert.equal(typeof subscribes.at(-1).data.since, "string");
  assert.ok(frames.sent.every(({ data }) => data.type === "aggregations" || data.since === undefined));
  assert.equal(frames.confirmations.filter(({ subscription_type: type }) => type === "aggregations").at(-1).recovered, true);
  /* The browser itself reports refused connections; everything else would be the page's. */
  assert.deepEqual(noise.filter((line) => !/ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/.test(line)), []);
  await context.close();
});
