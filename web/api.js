/* The HTTP side: lists, and the history a chart starts with. */

import { parseJson } from "./json.js";
import { HISTORY_PAGE_RECORDS, HISTORY_PAGES } from "./limits.js";

async function getJson(path) {
  const response = await fetch(path, { headers: { accept: "application/json" }, cache: "no-store" });
  const body = parseJson(await response.text());
  if (!response.ok) throw new Error(body.detail ?? body.title ?? `status ${response.status}`);
  return body;
}

async function getItems(path) {
  return (await getJson(path)).items ?? [];
}

export const getPipelines = () => getItems("/api/v1/pipelines");
export const getSources = () => getItems("/api/v1/sources");
export const getStats = () => getJson("/api/v1/stats");
export const getHealth = () => getJson("/health");

export function resultsPath(pipeline, query) {
  const known = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  return `/api/v1/results/${encodeURIComponent(pipeline)}?${new URLSearchParams(known)}`;
}

/** Hands every record of `pipeline` from window start `from` on to `take`, page by page. */
export async function readHistory(pipeline, from, take) {
  let cursor = null;
  for (let page = 0; page < HISTORY_PAGES; page++) {
    const { items, next_cursor } = await getJson(resultsPath(pipeline, { from, limit: HISTORY_PAGE_RECORDS, cursor }));
    take(items);
    if (!next_cursor) return;
    cursor = next_cursor;
  }
}
