/* What is not fine, in words: components of the server, and sources that fall behind, which the page tells from their
 * counters. */

import { LAGGING_TICKS } from "./limits.js";
import { compactText, uptime } from "./format.js";

const RANK = { down: 0, degraded: 1 };

/** The health component of a source. */
export function sourceComponent(system, name) {
  return system?.components?.[`source.${name}`] ?? null;
}

/** How far a source is behind in words: "12 s behind", or "behind" while its time is not known. */
export function behindWord({ metrics }, name) {
  const seconds = metrics.sources[name]?.lag_seconds;
  return seconds >= 1 ? `${uptime(seconds)} behind` : "behind";
}

/** Why a source counts as behind, or null. What a file or a generator has left is work, not trouble. */
export function behindWords({ metrics, sources, lagTicks }, name) {
  const kind = sources.find((source) => source.name === name)?.kind;
  if (kind === "file" || kind === "generator" || !(lagTicks.get(name) >= LAGGING_TICKS)) return null;
  const { lag, rate } = metrics.sources[name] ?? {};
  const wait = rate > 0 ? `, ${uptime(lag / rate)} at its rate` : ", and none is read";
  return `${compactText(lag)} events wait${wait}`;
}

/** { name, status, word, reason } of all that is not fine, the worst first. */
export function troubles(store) {
  const components = Object.entries(store.system?.components ?? {})
    .filter(([, { status }]) => status in RANK)
    .map(([name, { status, reason }]) => ({ name: name.replace(/^source\./, "source "), status, word: status, reason }))
    .sort((a, b) => RANK[a.status] - RANK[b.status]);
  const behind = Object.keys(store.metrics?.sources ?? {}).flatMap((name) => {
    const reason = behindWords(store, name);
    return reason && !sourceComponent(store.system, name)?.reason ? [{ name: `source ${name}`, status: "degraded", word: behindWord(store, name), reason }] : [];
  });
  return [...components, ...behind];
}
