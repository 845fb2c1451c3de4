/* The filter box: words separated by spaces, all of which must hold.
 *
 *   fr            a key value contains "fr" (any case)
 *   country=FR    the key or value named so is exactly that
 *   revenue>100   the same with < > <= >= !=, for numbers
 *
 * A word that names nothing the records have matches nothing: better an empty table than a filter that looks as if
 * it worked. */

import { valueText } from "./format.js";

const COMPARISON = /^([\w.]+)(<=|>=|!=|=|<|>)(.*)$/;

const OPERATORS = {
  "=": (a, b) => a === b,
  "!=": (a, b) => a !== b,
  "<": (a, b) => a < b,
  ">": (a, b) => a > b,
  "<=": (a, b) => a <= b,
  ">=": (a, b) => a >= b,
};

function lookUp(record, name) {
  const plain = name.replace(/^(key|values)\./, "");
  if (record.key && plain in record.key) return record.key[plain];
  if (record.values && plain in record.values) return record.values[plain];
  return record[plain];
}

function compareWord(word) {
  const match = COMPARISON.exec(word);
  if (!match) return null;
  const [, name, operator, wanted] = match;
  const compare = OPERATORS[operator];
  return (record) => {
    const value = lookUp(record, name);
    if (value === undefined) return false;
    if (typeof value === "number" || typeof value === "bigint") {
      return wanted !== "" && Number.isFinite(Number(wanted)) && compare(Number(value), Number(wanted));
    }
    return compare(valueText(value).toLowerCase(), wanted.toLowerCase());
  };
}

function containsWord(word) {
  const wanted = word.toLowerCase();
  return (record) => Object.values(record.key ?? {}).some((value) => valueText(value).toLowerCase().includes(wanted));
}

/** null for an empty text: everything matches. */
export function createFilter(text) {
  const words = text.trim().split(/\s+/).filter(Boolean);
  if (words.length === 0) return null;
  const tests = words.map((word) => compareWord(word) ?? containsWord(word));
  return { text: words.join(" "), matches: (record) => tests.every((test) => test(record)) };
}
