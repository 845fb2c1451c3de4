/* The top of the page: one line of state, the reasons when it is not fine, and four numbers. */

import { useEffect, useState } from "preact/hooks";
import { html } from "./html.js";
import { Mark, Moment, Quantity } from "./parts.js";
import { Sparkline } from "./sparkline.js";
import { notUsed, worstWatermark } from "./store.js";
import { troubles } from "./troubles.js";
import { compactText, duration, durationText, isKnown, microsText, number, percent, quantity, uptime } from "./format.js";

const REASONS_SHOWN = 6;

/** Seconds until the next attempt, counted down by this component alone. */
function Countdown({ retryAt }) {
  const [now, tick] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => tick(Date.now()), 250);
    return () => clearInterval(timer);
  }, [retryAt]);
  return html`<span class="countdown" aria-hidden="true">${Math.max(0, Math.ceil((retryAt - now) / 1000))} s</span>`;
}

function healthWords(status, [worst, ...others]) {
  if (!worst) return status === "ok" ? "everything is fine" : status;
  return `${worst.name} is ${worst.word}${others.length > 0 ? `, and ${others.length} more` : ""}`;
}

function Health({ store }) {
  const { connection, system } = store;
  if (connection.name === "connecting" && !store.metrics) return html`<p class="health" role="status"><${Mark} status="degraded" />connecting…</p>`;
  if (connection.name !== "live") return html`<p class="health" role="status"><${Mark} status="down" />disconnected</p>`;
  if (!system?.status) return html`<p class="health" role="status"><${Mark} status="ok" />connected</p>`;
  const found = troubles(store);
  const status = system.status === "ok" && found.length > 0 ? "degraded" : system.status;
  return html`<p class=${`health ${status}`} role="status"><${Mark} status=${status} />${healthWords(status, found)}</p>`;
}

function Disconnected({ store, retryNow }) {
  const { connection, metricsAt } = store;
  if (connection.name === "live" || (connection.name === "connecting" && !store.metrics)) return null;
  return html`<div class="notice down lost">
    <p><b>No connection to weir</b>${connection.reason && ` (${connection.reason})`}.${" "}
      ${metricsAt && html`What you see is from <${Moment} ms=${metricsAt} />.`}${" "}
      ${connection.retryAt ? html`Next attempt in <${Countdown} retryAt=${connection.retryAt} />.` : "Connecting…"}</p>
    <button type="button" onClick=${retryNow} disabled=${!connection.retryAt}>Try now</button>
  </div>`;
}

function Reasons({ store }) {
  const found = store.connection.name === "live" ? troubles(store) : [];
  if (found.length === 0 && !store.refusal) return null;
  return html`<ul class=${`notice reasons ${found[0]?.status ?? ""}`}>
    ${store.refusal && html`<li><${Mark} status="degraded" /><span><b>subscription</b> ${store.refusal}</span></li>`}
    ${found.slice(0, REASONS_SHOWN).map(({ name, status, word, reason }) => html`<li key=${`${name} ${word}`}>
      <${Mark} status=${status} /><span><b>${name} is ${word}</b>${reason && `: ${reason}`}</span></li>`)}
    ${found.length > REASONS_SHOWN && html`<li>and ${found.length - REASONS_SHOWN} more, see <a href="/health">/health</a></li>`}
  </ul>`;
}

export function StateLine({ store, retryNow }) {
  const { system, metrics } = store;
  const up = metrics?.uptime_s ?? system?.uptime_s;
  return html`<header class="state">
    <div class="line">
      <h1>weir</h1>
      <p class="light">${system?.version && html`<span>${system.version}</span>`}<span>${location.host}</span>${isKnown(up) && html`<span>up ${uptime(up)}</span>`}</p>
      <${Health} store=${store} />
    </div>
    <${Disconnected} store=${store} retryNow=${retryNow} />
    <${Reasons} store=${store} />
  </header>`;
}

function Tile({ label, help, children, sub, lines, alt }) {
  return html`<div class="tile">
    <dt title=${help}>${label}</dt>
    <dd class="figures">${children}</dd>
    <dd class="spark"><${Sparkline} lines=${lines} label=${alt} /></dd>
    <dd class="sub">${sub}</dd>
  </div>`;
}

function latencyTile(metrics, ring) {
  const latency = metrics?.latency?.end_to_end;
  const [p50, p99] = [latency?.p50_us, latency?.p99_us].map((us) => (isKnown(us) ? us / 1000 : null));
  return html`<${Tile} label="end-to-end latency" help="From the acceptance of an event to the socket write of its result, over the last minute"
    lines=${[ring.map((point) => point.p50), ring.map((point) => point.p99)]}
    alt=${`end-to-end latency now: median ${durationText(p50)}, 99th percentile ${durationText(p99)}`}
    sub=${latency?.count > 0 ? html`largest ${microsText(latency.max_us)} of ${compactText(latency.count)} in a minute` : "none measured in the last minute"}>
    <span class="pair"><${Quantity} of=${duration(p50)} /><span class="tag">p50</span></span>
    <span class="pair second"><${Quantity} of=${duration(p99)} /><span class="tag">p99</span></span>
  <//>`;
}

function notUsedTile(metrics, ring) {
  const lost = notUsed(metrics);
  return html`<${Tile} label="events not used" help="Too late for every window, or bad: not JSON, wrong schema, no usable time"
    lines=${[ring.map((point) => point.notUsedPerSecond)]}
    alt=${`events not used: ${number(lost)}, ${percent(lost, metrics?.events_total)} of all`}
    sub=${html`<span class=${metrics?.too_late_total > 0 ? "some" : ""}>${number(metrics?.too_late_total)} too late</span> · <span class=${metrics?.bad_total > 0 ? "some" : ""}>${number(metrics?.bad_total)} bad</span>`}>
    <${Quantity} of=${quantity(lost)} /><span class="beside">${percent(lost, metrics?.events_total)}</span>
  <//>`;
}

export function FourNumbers({ store }) {
  const { metrics, ring } = store;
  const worst = worstWatermark(metrics);
  return html`<section aria-label="Key figures"><dl class="tiles">
    <${Tile} label="events per second" help="Events taken in by all sources" lines=${[ring.map((point) => point.eventsPerSecond)]}
      alt=${`events per second now: ${number(metrics?.events_per_second, 0)}`}
      sub=${html`${compactText(metrics?.events_total)} since start · ${compactText(metrics?.results_per_second)} results/s`}>
      <${Quantity} of=${quantity(metrics?.events_per_second)} />
    <//>
    ${latencyTile(metrics, ring)}
    <${Tile} label="watermark delay" help="How far event time, as the windows see it, is behind the clock"
      lines=${[ring.map((point) => point.watermarkDelayMs)]} alt=${`watermark delay now: ${durationText(worst.delayMs)}`}
      sub=${worst.name ? html`furthest behind: ${worst.name}` : "no event yet"}>
      <${Quantity} of=${duration(worst.delayMs)} />
    <//>
    ${notUsedTile(metrics, ring)}
  </dl></section>`;
}
