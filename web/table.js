/* A sortable table of at most TABLE_ROWS rows in the document, scrolling inside itself. Rows are drawn again only when
 * their record changed, so four updates a second cost little. Copying takes all rows, not only those shown. */

import { Component } from "preact";
import { html } from "./html.js";
import { TABLE_ROWS } from "./limits.js";

/** column: { id, label, right, head, sortValue(record), cell(record), text(record) }. */
export function sortRecords(records, columns, { id, descending }) {
  const column = columns.find((candidate) => candidate.id === id);
  if (!column) return records;
  const keyed = records.map((record, index) => ({ record, value: column.sortValue(record), index }));
  keyed.sort((a, b) => {
    const order = compareValues(a.value, b.value);
    return (descending ? -order : order) || a.index - b.index;
  });
  /* Null belongs to the end in both directions. */
  const isNull = ({ value }) => value === null || value === undefined;
  return [...keyed.filter((entry) => !isNull(entry)), ...keyed.filter(isNull)].map(({ record }) => record);
}

function compareValues(a, b) {
  if (typeof a === "string" || typeof b === "string") return String(a).localeCompare(String(b), "en", { numeric: true });
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Tab-separated text with a head line, for spreadsheets. */
export function tableText(records, columns) {
  const clean = (text) => String(text).replace(/[\t\r\n]+/g, " ");
  const lines = records.map((record) => columns.map((column) => clean(column.text(record))).join("\t"));
  return [columns.map(({ label }) => label).join("\t"), ...lines].join("\n");
}

class Row extends Component {
  shouldComponentUpdate({ record, columns, shape }) {
    return record !== this.props.record || shape !== this.props.shape || columns.length !== this.props.columns.length;
  }

  render({ record, columns }) {
    return html`<tr class=${record.emit === "early" ? "open" : ""}>
      ${columns.map((column) => (column.head
        ? html`<th scope="row" key=${column.id} class=${column.right ? "right" : ""}>${column.cell(record)}</th>`
        : html`<td key=${column.id} class=${column.right ? "right" : ""}>${column.cell(record)}</td>`))}
    </tr>`;
  }
}

function Head({ column, sort, setSort }) {
  const active = sort.id === column.id;
  const order = active ? (sort.descending ? "descending" : "ascending") : undefined;
  const toggle = () => setSort({ id: column.id, descending: active ? !sort.descending : Boolean(column.right) });
  return html`<th scope="col" class=${column.right ? "right" : ""} aria-sort=${order}>
    <button type="button" class="quiet" title=${column.help} onClick=${toggle}>${column.label}<span class="arrow" aria-hidden="true">${active ? (sort.descending ? "↓" : "↑") : ""}</span></button>
  </th>`;
}

/** `shape` changes when all rows must be drawn again (another number of digits). */
export function RecordTable({ caption, columns, records, sort, setSort, shape }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${caption}>
    <table class="records">
      <caption class="unseen">${caption}</caption>
      <thead><tr>${columns.map((column) => html`<${Head} key=${column.id} column=${column} sort=${sort} setSort=${setSort} />`)}</tr></thead>
      <tbody>${records.slice(0, TABLE_ROWS).map((record) => html`<${Row} key=${record.id} record=${record} columns=${columns} shape=${shape} />`)}</tbody>
    </table>
  </div>`;
}
