/* A stand-in for weir with the surfaces the page uses: the page itself (by tools/embed_assets.py, so bundled and
 * hashed as in the binary, with the same security headers), HTTP lists, health and results, and the WebSocket.
 * Tests steer it: kill and restart on the same port, health, no data, lag. `node mock_server.mjs [PORT]` runs it alone. */

import { execFileSync } from "node:child_process";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { WebSocketServer } from "ws";
import { FINE, PIPELINES, SOURCES, metricsOf, noise, recordOf, recordsOf } from "./mock_data.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const HISTORY_WINDOWS = 60;
const WATERMARK_DELAY_MS = 1000;
const LOG_KEPT = 20_000;

export const SECURITY_HEADERS = {
  "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
};

const DUMP = `
import base64, json, pathlib, sys
sys.path.insert(0, "tools")
import embed_assets as e
assets = e.collect(pathlib.Path("web"))
kind = lambda path: e.CONTENT_TYPES[pathlib.Path(path).suffix or ".html"]
print(json.dumps({asset.path: [kind(asset.path), base64.b64encode(asset.content).decode()] for asset in assets}))
`;

/** { path: { type, body } } of everything the binary would serve as the page. */
export function embeddedAssets() {
  const out = execFileSync("python3", ["-B", "-c", DUMP], { cwd: ROOT, maxBuffer: 64 << 20 });
  return Object.fromEntries(Object.entries(JSON.parse(out)).map(([path, [type, body]]) => [path, { type, body: Buffer.from(body, "base64") }]));
}

let assets = null;

export class MockServer {
  constructor({ seed = 7, pipelines = PIPELINES, sources = SOURCES, idle = false, lagging = false, system = { status: "ok", components: FINE }, live = true } = {}) {
    Object.assign(this, { seed, pipelines, sources, idle, lagging, system, live });
    this.startedAt = Date.now();
    this.log = [];
    this.nextPosition = 1;
    this.subscribes = [];
    this.historyReads = [];
    this.unknownPositions = false;
    this.closedUpTo = new Map();
  }

  async start(port = 0) {
    assets ??= embeddedAssets();
    this.http = createServer((request, response) => this.#answer(request, response));
    this.sockets = new WebSocketServer({ noServer: true });
    this.http.on("upgrade", (request, socket, head) => this.sockets.handleUpgrade(request, socket, head, (client) => this.#accept(client)));
    await new Promise((resolve) => this.http.listen(port, "127.0.0.1", resolve));
    this.port = this.http.address().port;
    this.url = `http://127.0.0.1:${this.port}/`;
    this.timers = [setInterval(() => this.#eachSecond(), 1000), setInterval(() => this.#turn(), 200)];
  }

  /** Like kill -9: sockets are cut without a word, the port is free. */
  async kill() {
    this.timers.forEach(clearInterval);
    for (const client of this.sockets.clients) client.terminate();
    this.http.closeAllConnections();
    await new Promise((resolve) => this.http.close(resolve));
  }

  restart() {
    return this.start(this.port);
  }

  #answer(request, response) {
    const url = new URL(request.url, this.url);
    const send = (status, type, body) => response.writeHead(status, { ...SECURITY_HEADERS, "content-type": type }).end(body);
    const json = (value, status = 200) => send(status, "application/json", JSON.stringify(value));
    const asset = assets[url.pathname];
    if (asset) return send(200, asset.type, asset.body);
    if (url.pathname === "/health") return json(this.#health(), this.system.status === "down" ? 503 : 200);
    if (url.pathname === "/api/v1/stats") return json(this.#metrics());
    if (url.pathname === "/api/v1/pipelines") return json({ items: this.pipelines, next_cursor: null });
    if (url.pathname === "/api/v1/sources") return json({ items: this.sources, next_cursor: null });
    const results = /^\/api\/v1\/results\/([^/]+)$/.exec(url.pathname);
    if (results) return json(this.#results(decodeURIComponent(results[1]), url.searchParams));
    return json({ title: "Not Found", status: 404 }, 404);
  }

  #results(name, query) {
    this.historyReads.push({ name, from: query.get("from") });
    const pipeline = this.pipelines.find((candidate) => candidate.name === name);
    if (!pipeline || this.idle) return { items: [], next_cursor: null };
    const from = Number(query.get("from") ?? 0);
    const all = this.#closedStarts(pipeline).filter((start) => start >= from).flatMap((start) => recordsOf(this.seed, pipeline, start));
    const [offset, limit] = [Number(query.get("cursor") ?? 0), Number(query.get("limit") ?? 100)];
    return { items: all.slice(offset, offset + limit), next_cursor: offset + limit < all.length ? String(offset + limit) : null };
  }

  #health() {
    return { ...this.system, version: "0.1.0", uptime_s: 3725 };
  }

  #newestClosed(pipeline) {
    const size = pipeline.window.size_ms;
    return Math.floor((Date.now() - WATERMARK_DELAY_MS) / size) * size - size;
  }

  #closedStarts(pipeline) {
    const newest = this.#newestClosed(pipeline);
    return Array.from({ length: HISTORY_WINDOWS }, (_, i) => newest - (HISTORY_WINDOWS - 1 - i) * pipeline.window.size_ms);
  }

  #accept(client) {
    client.subscriptions = new Map();
    client.on("message", (text) => {
      const message = JSON.parse(text);
      if (message.type === "subscribe") this.#subscribe(client, message.data);
    });
  }

  #subscribe(client, options) {
    this.subscribes.push(options);
    const id = `s${client.subscriptions.size + 1}`;
    client.subscriptions.set(options.type, id);
    const since = options.since === undefined ? null : Number(options.since);
    const recovered = since !== null && !this.unknownPositions;
    const confirmation = { status: "subscribed", subscription_type: options.type, ...(since === null ? {} : { recovered }) };
    client.send(JSON.stringify({ type: "data", data: confirmation, subscription_id: id, timestamp: Date.now(), metadata: {} }));
    if (options.type === "aggregations") {
      const rows = recovered ? this.log.filter(({ position }) => position > since) : this.#snapshot();
      for (const { position, record } of rows) this.#deliver(client, "aggregations", { result: record }, position);
    }
    if (options.type === "system_status") this.#deliver(client, "system_status", { system: this.#health() });
    if (options.type === "metrics") this.#deliver(client, "metrics", { metrics: this.#metrics() });
  }

  #snapshot() {
    if (this.idle) return [];
    return this.pipelines.flatMap((pipeline) => recordsOf(this.seed, pipeline, this.#newestClosed(pipeline))).map((record) => ({ position: this.nextPosition, record }));
  }

  #metrics() {
    return metricsOf(this.seed, Date.now(), this.startedAt, this);
  }

  #deliver(client, type, data, position) {
    if (client.readyState !== client.OPEN || !client.subscriptions.has(type)) return;
    const metadata = position === undefined ? {} : { position: String(position) };
    client.send(JSON.stringify({ type: "data", subscription_id: client.subscriptions.get(type), timestamp: Date.now(), data: { subscription_type: type, ...data }, metadata }));
  }

  #eachSecond() {
    for (const client of this.sockets.clients) {
      this.#deliver(client, "metrics", { metrics: this.#metrics() });
      this.#deliver(client, "system_status", { system: this.#health() });
    }
  }

  publish(record) {
    const position = this.nextPosition++;
    this.log.push({ position, record });
    if (this.log.length > LOG_KEPT) this.log.shift();
    for (const client of this.sockets.clients) this.#deliver(client, "aggregations", { result: record }, position);
  }

  /* Closes windows the watermark has passed, revises one now and then, and shows the open one as it fills. */
  #turn() {
    if (this.idle || !this.live) return;
    for (const pipeline of this.pipelines) {
      const size = pipeline.window.size_ms;
      const closed = this.#newestClosed(pipeline);
      if (this.closedUpTo.get(pipeline.name) !== closed) {
        this.closedUpTo.set(pipeline.name, closed);
        recordsOf(this.seed, pipeline, closed).forEach((record) => this.publish(record));
        if (noise(this.seed, "late", pipeline.name, closed) > 0.8) this.publish(recordOf(this.seed, pipeline, closed - size, 0, { emit: "update", revision: 4 }));
      }
      const part = Math.min(1, (Date.now() - WATERMARK_DELAY_MS - closed - size) / size);
      if (part > 0.05 && pipeline.name !== "page_views") recordsOf(this.seed, pipeline, closed + size, { emit: "early", part }).forEach((record) => this.publish(record));
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = new MockServer();
  await server.start(Number(process.argv[2] ?? 0));
  console.log(server.url);
}
