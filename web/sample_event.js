/* An event that the first pipeline of a source would take, guessed from its configuration: the paths of key and
 * aggregates, and the simple comparisons of `where`. Good enough for a first curl line that gives a result. */

const PATH = /^[A-Za-z_]\w*(\.\w+)*$/;

function setPath(event, path, value) {
  const names = path.split(".");
  const last = names.pop();
  let place = event;
  for (const name of names) {
    if (typeof place[name] !== "object" || place[name] === null) place[name] = {};
    place = place[name];
  }
  if (!(last in place)) place[last] = value;
}

/** Values that satisfy `path == "x"`, `path > 10` and so on; other conditions are left alone. */
function fromWhere(event, where) {
  for (const [, path, operator, literal] of (where ?? "").matchAll(/([A-Za-z_][\w.]*)\s*(==|>=|<=|>|<)\s*("[^"]*"|-?\d+(?:\.\d+)?)/g)) {
    if (literal.startsWith('"')) {
      if (operator === "==") setPath(event, path, literal.slice(1, -1));
    } else {
      setPath(event, path, Number(literal) + (operator === ">" ? 42 : operator === "<" ? -1 : 0));
    }
  }
}

function guessText(path) {
  const name = path.split(".").at(-1);
  if (/country/.test(name)) return "FR";
  return /(_id|id)$/.test(name) ? `${name.replace(/_?id$/, "") || "x"}-1` : `some ${name.replaceAll("_", " ")}`;
}

export function sampleEvent(source, pipelines, now = Date.now()) {
  const event = {};
  setPath(event, source.time ?? "timestamp", new Date(now).toISOString());
  const pipeline = pipelines.find(({ from }) => from?.includes(source.name));
  if (!pipeline) return event;
  fromWhere(event, pipeline.where);
  for (const key of pipeline.key ?? []) if (PATH.test(key)) setPath(event, key, guessText(key));
  for (const { expression } of pipeline.aggregates ?? []) {
    const [, name, path] = /^(\w+)\(\s*([\w.]*)/.exec(expression) ?? [];
    if (path && PATH.test(path)) setPath(event, path, name === "distinct_count" || name === "top" ? guessText(path) : 42);
  }
  return event;
}

/** The line to paste into a terminal. */
export function curlLine(source, pipelines, origin, now) {
  const url = new URL(source.ingest_url ?? `/api/v1/sources/${encodeURIComponent(source.name)}/events`, origin).href;
  const body = JSON.stringify(sampleEvent(source, pipelines, now)).replaceAll("'", "'\\''");
  return `curl -X POST ${url} -d '${body}'`;
}
