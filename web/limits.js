/* Every bound of the page, in one place. A tab may stay open on a wall for months, so nothing here grows with
 * time or with the number of keys. What happens at each limit stands beside it. */

/** Seconds of metrics kept for the sparklines; the oldest is forgotten. */
export const METRICS_KEPT = 150;
/** A sparkline spans at least this many seconds. */
export const METRICS_SPAN_MIN = 30;
/** Windows kept and drawn per pipeline; the oldest is forgotten. */
export const WINDOWS_KEPT = 90;
/** A chart spans at least this many windows, so that the first points are not stretched over its whole width. */
export const WINDOWS_SPAN_MIN = 12;
/** Records kept per pipeline; beyond it the oldest windows go, and within one window further keys are only counted. */
export const RECORDS_KEPT = 50_000;
/** Newest records kept of a pipeline whose results have no common windows (none, session, global). */
export const LOOSE_RECORDS_KEPT = 500;
/** Keys a card shows. */
export const CARD_KEYS = 5;
/** Rows of the full table in the document; the filter reaches the others, and copying takes all of them. */
export const TABLE_ROWS = 250;
/** Records shown as raw JSON. */
export const RAW_RECORDS = 50;
/** History read at load and after a gap: pages of this many records, at most this many pages. */
export const HISTORY_PAGE_RECORDS = 1000;
export const HISTORY_PAGES = 20;
/** At most one history request per pipeline in this time, and this long after the first row, when snapshot rows are in. */
export const HISTORY_INTERVAL_MS = 2000;
export const HISTORY_SETTLE_MS = 40;
/** A window that the watermark has passed this many metrics messages ago, and is still open here, is read again. */
export const OVERDUE_TICKS = 3;
/** A source is behind when what waits is worth this many seconds at its rate, in this many metrics messages in a row. */
export const LAGGING_S = 10;
export const LAGGING_TICKS = 3;
/** Drawing: at most four times a second. */
export const DRAW_INTERVAL_MS = 250;
/** Reconnecting: waits double from the first to the longest, each shortened by up to half at random. */
export const RETRY_FIRST_MS = 500;
export const RETRY_LONGEST_MS = 15_000;
/** Metrics come each second; a connection silent for this long is dead, whatever TCP says. */
export const SILENCE_MS = 12_000;
/** The newest of each key at most this often is all the page asks of the server. */
export const CONFLATE = "250ms";
