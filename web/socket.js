/* The WebSocket that stays: it reconnects with growing, jittered waits, subscribes again, and asks for what it missed
 * by the position of the last delivery it saw. A connection on which nothing arrives for SILENCE_MS is given up,
 * because a broken network tells nobody.
 *
 *   connecting ──▶ live ──▶ waiting(retryAt) ──▶ connecting ──▶ …
 *
 * `environment` holds WebSocket, timers, clock and randomness, so that tests can play all of them. */

import { parseJson } from "./json.js";
import { RETRY_FIRST_MS, RETRY_LONGEST_MS, SILENCE_MS } from "./limits.js";

const BROWSER = {
  openSocket: (url) => new WebSocket(url),
  setTimeout: (call, ms) => setTimeout(call, ms),
  clearTimeout: (timer) => clearTimeout(timer),
  now: () => Date.now(),
  random: () => Math.random(),
};

/** Milliseconds before attempt number `attempt` (from 0): doubling, and between half and all of that at random. */
export function retryDelay(attempt, random) {
  const longest = Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** Math.min(attempt, 10));
  return Math.round(longest * (0.5 + random * 0.5));
}

export class LiveSocket {
  /** `subscriptions`: type → options of the subscribe message. `handlers`: data(type, data), state(state), subscribed(type, confirmation), refused(text). */
  constructor(url, subscriptions, handlers, environment = BROWSER) {
    this.url = url;
    this.subscriptions = subscriptions;
    this.handlers = handlers;
    this.environment = environment;
    this.positions = new Map();
    this.state = { name: "connecting", retryAt: null, since: environment.now(), reason: null };
    this.attempt = 0;
    this.socket = null;
    this.retryTimer = null;
    this.silenceTimer = null;
  }

  start() {
    this.#connect();
  }

  /** Does not wait for the countdown: the person asked, or the network came back. */
  retryNow() {
    if (this.state.name !== "waiting") return;
    this.environment.clearTimeout(this.retryTimer);
    this.#connect();
  }

  #enter(name, more = {}) {
    const since = name === this.state.name ? this.state.since : this.environment.now();
    this.state = { name, retryAt: null, since, reason: this.state.reason, ...more };
    this.handlers.state(this.state);
  }

  #connect() {
    this.#enter("connecting");
    const socket = this.environment.openSocket(this.url);
    this.socket = socket;
    this.#expectTraffic();
    socket.onopen = () => this.#subscribeAll();
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket) return;
      this.#expectTraffic();
      this.#receive(data);
    };
    socket.onclose = ({ code, reason }) => {
      if (socket === this.socket) this.#lose(reason || (code === 1006 ? null : `closed with code ${code}`));
    };
  }

  #subscribeAll() {
    for (const [type, options] of Object.entries(this.subscriptions)) {
      const since = this.positions.get(type);
      const data = { type, filters: {}, ...options, ...(since === undefined ? {} : { since }) };
      this.socket.send(JSON.stringify({ type: "subscribe", data }));
    }
  }

  #expectTraffic() {
    this.environment.clearTimeout(this.silenceTimer);
    this.silenceTimer = this.environment.setTimeout(() => {
      const socket = this.socket;
      this.#lose("nothing heard");
      socket?.close();
    }, SILENCE_MS);
  }

  #lose(reason) {
    this.socket = null;
    this.environment.clearTimeout(this.silenceTimer);
    const delay = retryDelay(this.attempt++, this.environment.random());
    this.retryTimer = this.environment.setTimeout(() => this.#connect(), delay);
    this.#enter("waiting", { retryAt: this.environment.now() + delay, reason });
  }

  #receive(text) {
    const message = parseJson(text);
    if (message.type === "error") {
      this.handlers.refused(message.data?.error ?? message.error ?? "the server refused a message");
      return;
    }
    if (message.type !== "data" || !message.data) return;
    const { data } = message;
    if (data.batch) {
      for (const one of data.messages) this.#deliver(one);
    } else {
      this.#deliver(message);
    }
  }

  #deliver({ data, metadata }) {
    const type = data.subscription_type;
    if (data.status === "subscribed") {
      this.attempt = 0;
      if (data.recovered === false) this.positions.delete(type);
      if (this.state.name !== "live") this.#enter("live", { reason: null });
      this.handlers.subscribed(type, data);
      return;
    }
    /* Only what has a snapshot can be resumed; the others come each second anyway. */
    if (metadata?.position !== undefined && this.subscriptions[type]?.snapshot) this.positions.set(type, metadata.position);
    this.handlers.data(type, data);
  }
}
