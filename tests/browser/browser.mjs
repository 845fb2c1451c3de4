/* One Chromium for a test file; a page that remembers every console message, error, request outside its origin, and
 * the frames of its WebSockets. */

import { chromium } from "playwright-core";

const EXECUTABLE = process.env.WEIR_CHROMIUM ?? "/usr/bin/chromium";
const PATIENCE = Number(process.env.WEIR_TEST_PATIENCE ?? 1);

export function launch() {
  return chromium.launch({ executablePath: EXECUTABLE, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

/** `sent`: messages of the page; `received`: how many frames came so far. */
function watchSockets(page) {
  const frames = { sent: [], received: 0, confirmations: [] };
  page.on("websocket", (socket) => {
    socket.on("framesent", ({ payload }) => frames.sent.push(JSON.parse(payload)));
    socket.on("framereceived", ({ payload }) => {
      frames.received++;
      if (payload.includes('"subscribed"')) frames.confirmations.push(JSON.parse(payload).data);
    });
  });
  return frames;
}

/** Opens `url`; `noise` collects what a quiet page must not produce. */
export async function open(browser, url, { width = 1280, height = 900, colorScheme = "light", ...options } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, timezoneId: "Europe/Paris", ...options });
  const page = await context.newPage();
  const noise = [];
  const frames = watchSockets(page);
  page.on("console", (message) => noise.push(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => noise.push(`error: ${error.message}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(new URL(url).origin) && !request.url().startsWith("data:")) noise.push(`external request: ${request.url()}`);
  });
  await page.goto(url);
  return { page, context, noise, frames };
}

/** Polls `read` until `holds` is true of what it gives; fails with the last value. */
export async function until(read, holds, { timeoutMs = 15_000, what = "condition" } = {}) {
  const end = Date.now() + timeoutMs * PATIENCE;
  let last;
  while (Date.now() < end) {
    last = await read();
    if (holds(last)) return last;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what} did not come within ${timeoutMs * PATIENCE} ms; last: ${JSON.stringify(last)}`);
}

/** The text of the first element that `selector` finds, null when there is none. */
export function textOf(page, selector) {
  return page.evaluate((wanted) => document.querySelector(wanted)?.textContent ?? null, selector);
}
