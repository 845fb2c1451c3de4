/* JSON whose integers survive. Sums of integers are exact to 128 bits in weir, but JSON.parse reads numbers as
 * doubles: beyond 2^53 the page would show other digits than the API gave. Such integers become BigInt. Only texts
 * that contain a long run of digits pay for the slower reading with a reviver. */

const LONG_INTEGER = /[:[,]\s*-?\d{16,}\s*[,}\]]/;

function reviveInteger(key, value, context) {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  const source = context?.source;
  return source !== undefined && /^-?\d+$/.test(source) ? BigInt(source) : value;
}

export function parseJson(text) {
  return LONG_INTEGER.test(text) ? JSON.parse(text, reviveInteger) : JSON.parse(text);
}

/** One line of JSON; BigInt values are written as the integers they are. */
export function formatJson(value) {
  if (typeof value === "bigint") return value.toString();
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  if (Array.isArray(value)) return `[${value.map(formatJson).join(",")}]`;
  const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}:${formatJson(member)}`);
  return `{${members.join(",")}}`;
}
