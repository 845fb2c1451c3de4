/* Numbers, durations, times and keys as a person reads them. Functions that return [text, unit] leave it to the
 * caller to set the unit in a lighter weight. Unknown (null, undefined, NaN) is an en dash everywhere. */

export const UNKNOWN = "–";

const GROUPED = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

export function isKnown(value) {
  return typeof value === "bigint" || (typeof value === "number" && Number.isFinite(value));
}

/** Digits after the point that give a value of this size about four significant ones. */
export function fractionDigits(value) {
  const size = Math.abs(Number(value));
  if (!Number.isFinite(size) || size >= 1000 || size === 0) return size >= 1000 ? 1 : 0;
  return size >= 100 ? 1 : size >= 1 ? 2 : Math.min(8, 3 - Math.floor(Math.log10(size)));
}

/** A hyphen is too short to be seen in a column of figures. */
function withMinus(text) {
  return text.replace("-", "−");
}

/** 1234567 → "1,234,567"; 345.5 → "345.5". */
export function number(value, digits) {
  if (!isKnown(value)) return UNKNOWN;
  if (typeof value === "bigint" || (Number.isInteger(value) && digits === undefined)) return withMinus(GROUPED.format(value));
  const wanted = digits ?? fractionDigits(value);
  return withMinus(value.toLocaleString("en-US", { minimumFractionDigits: digits ?? 0, maximumFractionDigits: wanted }));
}

const SCALES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

/** 12345 → ["12.3", "k"]: three significant digits, for axes, ends of lines and narrow tiles. */
export function compact(value) {
  if (!isKnown(value)) return [UNKNOWN, ""];
  const plain = Number(value);
  const size = Math.abs(plain);
  const [factor, unit] = SCALES.find(([limit]) => size >= limit * 0.9995) ?? [1, ""];
  if (factor === 1) return [size === 0 ? "0" : withMinus(String(Number(plain.toPrecision(3)))), ""];
  const scaled = plain / factor;
  return [withMinus(scaled.toFixed(Math.abs(scaled) >= 99.95 ? 0 : Math.abs(scaled) >= 9.995 ? 1 : 2)), unit];
}

export function compactText(value) {
  return compact(value).join("");
}

/** Ticks of an axis are round numbers: "15k", "7.5k", not "15.0k". */
export function axisText(value) {
  const [text, unit] = compact(value);
  return text.replace(/\.?0+$/, (zeros) => (text.includes(".") ? "" : zeros)) + unit;
}

/** Events per second and totals: whole up to 99,999, then compact. */
export function quantity(value) {
  if (!isKnown(value)) return [UNKNOWN, ""];
  return Math.abs(Number(value)) < 100_000 ? [GROUPED.format(Math.round(Number(value))), ""] : compact(value);
}

const DURATIONS = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1000, "s"], [1, "ms"]];

/** 5230 → ["5.23", "s"]. */
export function duration(ms) {
  if (!isKnown(ms)) return [UNKNOWN, ""];
  const size = Math.abs(ms);
  if (size > 0 && size < 1) return [significant(ms * 1000), "µs"];
  const [factor, unit] = DURATIONS.find(([limit]) => size >= limit) ?? [1, "ms"];
  return [significant(ms / factor), unit];
}

export function durationText(ms) {
  const [text, unit] = duration(ms);
  return unit ? `${text} ${unit}` : text;
}

export function microsText(us) {
  return durationText(isKnown(us) ? us / 1000 : us);
}

function significant(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2);
}

/** 3725 → "1 h 2 min": two units at most, for uptimes. */
export function uptime(seconds) {
  if (!isKnown(seconds)) return UNKNOWN;
  const parts = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];
  let rest = Math.max(0, Math.floor(seconds));
  const words = [];
  for (const [unit, size] of parts) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0 || (unit === "s" && words.length === 0)) words.push(`${count} ${unit}`);
    if (words.length === 2 || (words.length === 1 && count === 0)) break;
  }
  return words.join(" ");
}

export function bytes(size) {
  if (!isKnown(size)) return [UNKNOWN, ""];
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let index = 0;
  let value = size;
  for (; value >= 1024 && index < units.length - 1; index++) value /= 1024;
  return [significant(value), units[index]];
}

/** Share of a whole in percent, never "0 %" for something and never "100 %" for less than all. */
export function percent(part, whole) {
  if (!isKnown(part) || !isKnown(whole) || whole === 0) return UNKNOWN;
  const share = (Number(part) / Number(whole)) * 100;
  if (part > 0 && share < 0.01) return "< 0.01 %";
  if (part < whole && share > 99.99) return "> 99.99 %";
  return `${share >= 10 || share === 0 ? share.toFixed(share === 0 || share === 100 ? 0 : 1) : share.toFixed(2)} %`;
}

const two = (value) => String(value).padStart(2, "0");

function sameDay(a, b) {
  return a.getFullYear() === b.getFullYear() && a.getMonth() === b.getMonth() && a.getDate() === b.getDate();
}

function dateText(date) {
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

function clockText(date) {
  const millis = date.getMilliseconds();
  const base = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return millis ? `${base}.${String(millis).padStart(3, "0")}` : base;
}

/** A moment in the viewer's zone; the date is left out when it is today's. */
export function time(ms, now = Date.now()) {
  if (!isKnown(ms)) return UNKNOWN;
  const date = new Date(Number(ms));
  return sameDay(date, new Date(now)) ? clockText(date) : `${dateText(date)} ${clockText(date)}`;
}

export function isToday(ms, now = Date.now()) {
  return sameDay(new Date(Number(ms)), new Date(now));
}

/** Labels of a time axis with ticks `step` ms apart: no finer than the step, and a date where it is not today's. */
export function axisTimes(splits, step, now = Date.now()) {
  let day = null;
  return splits.map((ms) => {
    const date = new Date(ms);
    if (step >= 86_400_000) return dateText(date);
    const clock = step >= 60_000 ? clockText(date).slice(0, 5) : clockText(date);
    const newDay = !isToday(ms, now) && dateText(date) !== day;
    day = dateText(date);
    return newDay ? `${clock}\n${day}` : clock;
  });
}

/** The same moment in UTC, for hovering. */
export function utc(ms) {
  return isKnown(ms) ? `${new Date(Number(ms)).toISOString().replace("T", " ").replace(".000Z", "").replace("Z", "")} UTC` : "";
}

/** "18:00:00 – 18:00:10"; a global window has no end. */
export function windowText(start, end, now = Date.now()) {
  if (!isKnown(start)) return UNKNOWN;
  if (end === null) return "all time";
  if (!isKnown(end)) return time(start, now);
  const [from, to] = [new Date(start), new Date(end)];
  return `${time(start, now)} – ${sameDay(from, to) ? clockText(to) : time(end, now)}`;
}

/** A key or value of a record as text; null is a group of its own and says so. */
export function valueText(value) {
  if (value === null || value === undefined) return "null";
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}

/** The values of a record's key joined; a pipeline without a key has one group. */
export function keyText(key) {
  const values = Object.values(key ?? {});
  return values.length === 0 ? "all events" : values.map(valueText).join(" · ");
}
