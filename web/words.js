/* What a pipeline computes, as a person would say it: "sum of amount by country, every 10 s". */

import { durationText } from "./format.js";

/* A unit does not wander to the next line without its number. */
const lasting = (ms) => durationText(ms).replace(" ", "\u00a0");

const PATH = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$/;

/** "properties.amount" → "amount"; an expression stays as it is. */
function shortName(argument) {
  return PATH.test(argument) ? argument.split(".").at(-1) : argument;
}

function ordinal(text) {
  const ending = /1[123]$/.test(text) || text.includes(".") ? "th" : { 1: "st", 2: "nd", 3: "rd" }[text.at(-1)] ?? "th";
  return text + ending;
}

const PHRASES = {
  count: (x) => (x ? `number of events with ${x}` : "number of events"),
  mean: (x) => `mean of ${x}`,
  min: (x) => `smallest ${x}`,
  max: (x) => `largest ${x}`,
  stddev: (x) => `standard deviation of ${x}`,
  stddev_pop: (x) => `standard deviation of ${x} (population)`,
  percentile: (x, p) => `${ordinal(p)} percentile of ${x}`,
  distinct_count: (x) => `number of distinct ${x}`,
  top: (x, k) => `${k} most frequent ${x}`,
  first: (x) => `first ${x}`,
  last: (x) => `last ${x}`,
  rate: () => "events per second",
};

/** One aggregate in words; text that is no simple call is given back as it is. */
export function aggregateWords(expression) {
  const match = /^\s*(\w+)\((.*)\)\s*$/.exec(expression ?? "");
  if (!match) return expression ?? "";
  const [, name, inside] = match;
  const comma = name === "percentile" || name === "top" ? inside.lastIndexOf(",") : -1;
  const argument = shortName((comma < 0 ? inside : inside.slice(0, comma)).trim());
  const phrase = PHRASES[name] ?? ((x) => `${name} of ${x}`);
  return phrase(argument, comma < 0 ? "" : inside.slice(comma + 1).trim());
}

export function windowWords(window) {
  if (!window) return "event by event";
  if (window.kind === "session") return `per session (gap ${lasting(window.gap_ms)})`;
  if (window.kind === "global") return "since the start";
  if (window.kind === "sliding") return `over ${lasting(window.size_ms)}, every ${lasting(window.slide_ms)}`;
  return `every ${lasting(window.size_ms)}`;
}

/** The whole pipeline, told by one of its aggregates. */
export function pipelineWords(info, aggregate) {
  const keys = info.key.length > 0 ? ` by ${info.key.join(" and ")}` : "";
  const where = info.where ? `, where ${info.where}` : "";
  if (!info.window) return `events one by one${where}`;
  return `${aggregateWords(aggregate.expression)}${keys}, ${windowWords(info.window)}${where}`;
}
