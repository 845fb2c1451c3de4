/* A real weir on a free port with a config and a data directory of its own. WEIR_BIN names the binary. */

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "./browser.mjs";

const BINARY = process.env.WEIR_BIN ?? fileURLToPath(new URL("../../build/release/weir", import.meta.url));

/** A made-up shop whose windows close each second. */
export const SHOP = `
sources:
  shop:
    generator: { rate: 1000/s, users: 500, disorder: 100ms, disorder_share: 0.05, late_share: 0.01, bad_share: 0.01 }
    time: timestamp
    max_out_of_orderness: 200ms
    idle_timeout: 2s
pipelines:
  revenue:
    from: shop
    where: event_type == "purchase"
    key: [properties.country]
    window: { tumbling: 1s }
    allowed_lateness: 1m
    emit: { every: 250ms }
    aggregates: { revenue: sum(properties.amount), orders: count(), mean: mean(properties.amount) }
  traffic:
    from: shop
    window: { tumbling: 1s }
    aggregates: { events: count() }
`;

/** Orders by HTTP; nothing comes by itself. */
export const ORDERS = `
sources:
  orders:
    http: {}
    time: ts
    max_out_of_orderness: 100ms
    idle_timeout: 500ms
pipelines:
  revenue:
    from: orders
    where: amount > 10
    key: [country]
    window: { tumbling: 1s }
    aggregates: { revenue: sum(amount), orders: count() }
`;

export class Weir {
  constructor(config) {
    this.directory = mkdtempSync(join(tmpdir(), "weir-page-"));
    this.dataDirectory = join(this.directory, "data");
    this.config = join(this.directory, "weir.yaml");
    this.port = 0;
    this.log = "";
    writeFileSync(this.config, `data_dir: ${this.dataDirectory}\n${config}`);
  }

  /** Starts it, or starts it again on the port it had. */
  async start() {
    const before = this.log.length;
    this.process = spawn(BINARY, ["run", this.config, "--set", `server.listen=127.0.0.1:${this.port}`], { stdio: ["ignore", "ignore", "pipe"] });
    this.process.on("error", (error) => (this.log += `${BINARY}: ${error.message}`));
    this.process.stderr.on("data", (text) => (this.log += text));
    this.exited = new Promise((resolve) => this.process.on("exit", resolve));
    const ready = () => /ready on (http:\S+)/.exec(this.log.slice(before))?.[1] ?? null;
    this.url = await until(ready, Boolean, { what: "a ready weir" }).catch((error) => {
      throw new Error(`${error.message}\n${this.log}`);
    });
    this.port = Number(new URL(this.url).port);
    return this;
  }

  async kill() {
    this.process.kill("SIGKILL");
    await this.exited;
  }

  /** Ends it and removes its files. */
  async stop() {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }

  async post(source, events) {
    const body = events.map((event) => JSON.stringify(event)).join("\n");
    const response = await fetch(new URL(`/api/v1/sources/${source}/events`, this.url), { method: "POST", body });
    return response.json();
  }
}
