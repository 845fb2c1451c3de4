/* A live chart of window values by uPlot: no box, a thin grid, no legend. Each line carries its label at its end, the
 * newest value with it. Windows that are still open are drawn dashed and lighter; a hollow dot marks a window that was
 * revised after it had closed. Colours come from the style sheet's custom properties, so light and dark need no code. */

import { Component, createRef } from "preact";
import uPlot from "uplot";
import { html } from "./html.js";
import { axisText, axisTimes, compactText, isToday } from "./format.js";

const [SECOND, MINUTE, HOUR, DAY] = [1000, 60_000, 3_600_000, 86_400_000];
const TIME_STEPS_MS = [
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND), ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR), ...[1, 2, 7, 14, 28, 91, 364].map((n) => n * DAY),
];
const PADDING_TOP = 8;

function palette(element) {
  const style = getComputedStyle(element);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: color("ink"), muted: color("muted"), grid: color("grid"), accent: color("accent"), tint: color("accent-tint"),
    surface: color("surface"), fontSize: parseFloat(style.fontSize), fontFamily: style.fontFamily,
  };
}

/** uPlot's options of a line by its role. */
function seriesOf(role, colors) {
  const base = { points: { show: false }, spanGaps: false };
  if (role === "closed") return { ...base, stroke: colors.accent, width: 1.75, fill: colors.tint };
  if (role === "open") return { ...base, stroke: colors.accent, width: 1.25, dash: [3, 4] };
  if (role === "picked") return { ...base, stroke: colors.ink, width: 1.5 };
  if (role === "first") return { ...base, stroke: colors.accent, width: 1.5 };
  return { ...base, stroke: colors.muted, width: 1 };
}

function lastIndex(values) {
  for (let i = values.length - 1; i >= 0; i--) if (values[i] !== null) return i;
  return -1;
}

/** Moves labels that would overlap apart, keeping their order and the bottom edge. */
export function spreadLabels(labels, gap, bottom) {
  labels.sort((a, b) => a.y - b.y);
  for (let i = 1; i < labels.length; i++) labels[i].y = Math.max(labels[i].y, labels[i - 1].y + gap);
  let limit = bottom;
  for (let i = labels.length - 1; i >= 0; i--, limit -= gap) labels[i].y = Math.min(labels[i].y, limit);
  return labels;
}

function colorOf(role, colors) {
  if (role === "closed" || role === "first") return colors.accent;
  return role === "picked" ? colors.ink : colors.muted;
}

/** Draws dots and labels at the ends of the lines, and the marks of revised windows. */
function drawEnds(plot, view, colors) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  const labels = [];
  ctx.save();
  ctx.setLineDash([]);
  for (const [index, line] of view.lines.entries()) {
    const last = lastIndex(line.values);
    if (last < 0) continue;
    const [x, y] = [plot.valToPos(view.x[last], "x", true), plot.valToPos(line.values[last], "y", true)];
    const color = colorOf(line.role, colors);
    ctx.fillStyle = color;
    ctx.beginPath();
    ctx.arc(x, y, (line.role === "other" ? 2 : 2.75) * ratio, 0, 2 * Math.PI);
    ctx.fill();
    if (line.label !== null) labels.push({ y, index, color, text: line.label ?? compactText(line.values[last]), bold: line.role === "closed" || line.role === "first" });
  }
  ctx.lineWidth = 1.25 * ratio;
  ctx.strokeStyle = colors.accent;
  ctx.fillStyle = colors.surface;
  for (const index of view.revised) {
    const value = view.lines[0]?.values[index];
    if (value === null || value === undefined) continue;
    ctx.beginPath();
    ctx.arc(plot.valToPos(view.x[index], "x", true), plot.valToPos(value, "y", true), 2.25 * ratio, 0, 2 * Math.PI);
    ctx.fill();
    ctx.stroke();
  }
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  for (const label of spreadLabels(labels, colors.fontSize * 1.07 * ratio, bbox.top + bbox.height)) {
    ctx.font = `${label.bold ? 600 : 400} ${colors.fontSize * 0.86 * ratio}px ${colors.fontFamily}`;
    ctx.fillStyle = label.color;
    ctx.fillText(label.text, bbox.left + bbox.width + 8 * ratio, label.y);
  }
  ctx.restore();
}

function axesOf(colors, dated) {
  const size = colors.fontSize * 0.8;
  const font = `${size}px ${colors.fontFamily}`;
  const common = { stroke: colors.muted, font, ticks: { show: false }, border: { show: false } };
  return [
    { ...common, size: dated ? size * 3.6 : size * 2.2, gap: 6, space: size * 7, incrs: TIME_STEPS_MS, grid: { show: false },
      values: (plot, splits, axis, space, step) => axisTimes(splits, step) },
    { ...common, size: size * 4.3, gap: 8, space: 36, grid: { stroke: colors.grid, width: 1 }, values: (plot, splits) => splits.map((value) => axisText(value)) },
  ];
}

function valueRange(plot, low, high) {
  if (low === null || high === null) return [0, 1];
  const top = high > 0 ? high * 1.08 : 0;
  const bottom = low < 0 ? low * 1.08 : 0;
  return top === bottom ? [0, 1] : [bottom, top];
}

/**
 * `view`: { x: window starts in ms, lines: [{ role, values, label }], revised: [index], span: [first, last] ms, labelCharacters }.
 * `alt`: the chart in words. `readout(index | null)`: text for the window under the pointer.
 */
export class Chart extends Component {
  host = createRef();
  note = createRef();

  componentDidMount() {
    this.create();
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.host.current);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.recreate = () => this.create();
    this.scheme.addEventListener("change", this.recreate);
  }

  componentDidUpdate() {
    if (this.shape !== this.shapeOf(this.props.view)) this.create();
    else this.plot.setData(this.data(), true);
  }

  componentWillUnmount() {
    this.observer.disconnect();
    this.scheme.removeEventListener("change", this.recreate);
    this.plot?.destroy();
  }

  shapeOf(view) {
    return `${view.labelCharacters} ${isToday(view.span[0])} ${view.lines.map(({ role }) => role).join(" ")}`;
  }

  data() {
    const { view } = this.props;
    return [view.x, ...view.lines.map(({ values }) => values)];
  }

  create() {
    this.plot?.destroy();
    const host = this.host.current;
    const colors = palette(host);
    const { view } = this.props;
    this.shape = this.shapeOf(view);
    this.plot = new uPlot({
      width: host.clientWidth, height: host.clientHeight, ms: 1, pxAlign: true,
      padding: [PADDING_TOP, view.labelCharacters * colors.fontSize * 0.53 + 8, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { time: true, range: () => this.props.view.span }, y: { range: valueRange } },
      axes: axesOf(colors, !isToday(view.span[0])),
      series: [{}, ...view.lines.map(({ role }) => seriesOf(role, colors))],
      hooks: {
        draw: [(plot) => drawEnds(plot, this.props.view, colors)],
        setCursor: [(plot) => this.read(plot.cursor.idx)],
      },
    }, this.data(), host);
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.host.current;
    if (width > 0 && (width !== this.plot.width || height !== this.plot.height)) this.plot.setSize({ width, height });
  }

  /* The note follows the pointer, so it is written past the virtual tree. */
  read(index) {
    if (this.note.current) this.note.current.textContent = typeof index === "number" ? this.props.readout(index) : "";
  }

  render({ alt, tall }) {
    return html`<div class=${tall ? "chart tall" : "chart"}>
      <div class="plot" ref=${this.host} role="img" aria-label=${alt}></div>
      <div class="readout" ref=${this.note} aria-hidden="true"></div>
    </div>`;
  }
}
