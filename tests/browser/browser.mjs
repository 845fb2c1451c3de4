/* One Chromium for a test file; a page that remembers every console message, error and request outside its origin. */

import { chromium } from "playwright-core";

const EXECUTABLE = process.env.WEIR_CHROMIUM ?? "/usr/bin/chromium";

export function launch() {
  return chromium.launch({ executablePath: EXECUTABLE, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

/** Opens `url`; `noise` collects what a quiet page must not produce. */
export async function open(browser, url, { width = 1280, height = 900, colorScheme = "light", ...options } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, timezoneId: "Europe/Paris", ...options });
  const page = await context.newPage();
  const noise = [];
  page.on("console", (message) => noise.push(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => noise.push(`error: ${error.message}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(new URL(url).origin) && !request.url().startsWith("data:")) noise.push(`external request: ${request.url()}`);
  });
  await page.goto(url);
  return { page, context, noise };
}

/** Polls `read` until `holds` is true of what it gives; fails with the last value. */
export async function until(read, holds, { timeoutMs = 15_000, what = "condition" } = {}) {
  const end = Date.now() + timeoutMs;
  let last;
  while (Date.now() < end) {
    last = await read();
    if (holds(last)) return last;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what} did not come within ${timeoutMs} ms; last: ${JSON.stringify(last)}`);
}
