// Curves: one thing a plot, names at the ends of the lines, intervals as a band, the floor as a line, images seen from left to right.
import { html, useEffect, useRef } from "./base.js";
import { count, number } from "./words.js";

let library = null;

/** The colours of the page as they are now, for a canvas. */
function colours(node) {
  const style = getComputedStyle(node);
  const read = (name) => style.getPropertyValue(name).trim();
  return { ink: read("--ink"), soft: read("--soft"), line: read("--line"), accent: read("--accent"), panel: read("--ground") };
}

const DASHES = [[], [6, 4], [2, 3], [8, 3, 2, 3]];

/**
 * lines: [{name, x, y, low?, high?}], the first one is the subject. floor: {value, name}. hover(x | null) as the pointer moves.
 * `words` says the same for those who do not see it.
 */
export function Plot({ title, lines, floor, height = 168, hover, words, axis = "images seen" }) {
  const box = useRef(null);
  const plot = useRef(null);
  const tell = useRef(hover);
  tell.current = hover;
  const shape = JSON.stringify([lines.map((line) => [line.name, Boolean(line.low)]), floor?.value, height]);
  const data = joined(lines);
  const latest = useRef(data);
  latest.current = data;
  useEffect(() => {
    let alive = true;
    let watch = null;
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const draw = () => {
      if (!alive || !box.current) return;
      plot.current?.destroy();
      plot.current = new library(options(box.current, lines, floor, height, tell, axis), latest.current, box.current);
    };
    (async () => {
      library ??= (await import("./vendor/uplot.js")).default;
      if (!alive || !box.current) return;
      draw();
      watch = new ResizeObserver(() => box.current && plot.current?.setSize({ width: Math.max(120, box.current.clientWidth), height }));
      watch.observe(box.current);
      scheme.addEventListener("change", draw);
    })();
    return () => {
      alive = false;
      watch?.disconnect();
      scheme.removeEventListener("change", draw);
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(data), [JSON.stringify(data)]);
  return html`<figure class="plot" aria-label=${`${title}. ${words ?? ""}`}>
    <figcaption>${title}${words && html`<span class="soft"> ${words}</span>`}</figcaption>
    <div class="plot-box" ref=${box}></div>
  </figure>`;
}

/** All lines on one row of places; where a line has no point there is a gap that is bridged. */
function joined(lines) {
  const places = [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
  const at = new Map(places.map((place, k) => [place, k]));
  const spread = (line, values) => {
    const row = new Array(places.length).fill(null);
    line.x.forEach((place, k) => (row[at.get(place)] = values[k] ?? null));
    return row;
  };
  return [places, ...lines.flatMap((line) => (line.low ? [line.y, line.low, line.high] : [line.y]).map((values) => spread(line, values)))];
}

function options(node, lines, floor, height, tell, axis) {
  const paint = colours(node);
  const font = "13px system-ui, sans-serif";
  const series = [{}];
  const bands = [];
  const names = [];
  lines.forEach((line, k) => {
    const stroke = k === 0 ? paint.accent : paint.soft;
    names.push([series.length, line.name, stroke]);
    series.push({ stroke, width: 2, spanGaps: true, dash: DASHES[k % DASHES.length], points: { show: line.x.length < 30, size: 5, fill: stroke } });
    if (!line.low) return;
    const at = series.length;
    series.push({ stroke: "transparent", spanGaps: true, points: { show: false } }, { stroke: "transparent", spanGaps: true, points: { show: false } });
    bands.push({ series: [at + 1, at], fill: `${k === 0 ? paint.accent : paint.soft}2e` });
  });
  const spread = (plot, low, high) => {
    const values = [low, high, floor?.value].filter(Number.isFinite);
    const least = Math.min(0, ...values);
    const most = Math.max(...values, least + 1e-9);
    return [least, most + (most - least) * 0.08];
  };
  return {
    width: Math.max(120, node.clientWidth), height, padding: [8, 100, 0, 0], legend: { show: false },
    cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
    scales: { x: { time: false }, y: { range: spread } },
    series, bands,
    axes: [
      { stroke: paint.soft, font, size: 28, grid: { show: false }, ticks: { show: false }, values: (_, all) => all.map((one) => (one >= 1000 ? `${count(one / 1000)}k` : count(one))), space: 64 },
      { stroke: paint.soft, font, size: 44, grid: { stroke: paint.line, width: 1 }, ticks: { show: false }, values: (_, all) => all.map(number), space: 32 },
    ],
    hooks: {
      setCursor: [(plot) => tell.current?.(plot.cursor.idx === null || plot.cursor.left < 0 ? null : plot.data[0][plot.cursor.idx])],
      draw: [(plot) => write(plot, names, floor, paint, axis)],
    },
  };
}

/** Names at the ends of the lines, and the floor. */
function write(plot, names, floor, paint, axis) {
  const { ctx } = plot;
  const ratio = devicePixelRatio;
  const right = plot.bbox.left + plot.bbox.width;
  const taken = [];
  ctx.save();
  ctx.font = `${13 * ratio}px system-ui, sans-serif`;
  ctx.textBaseline = "middle";
  const put = (text, y, colour) => {
    let place = y;
    while (taken.some((other) => Math.abs(other - place) < 14 * ratio)) place += 7 * ratio;
    taken.push(place);
    ctx.fillStyle = colour;
    ctx.textAlign = "left";
    ctx.fillText(text.length > 10 ? `${text.slice(0, 9)}…` : text, right + 6 * ratio, place);
  };
  if (Number.isFinite(floor?.value)) {
    const y = plot.valToPos(floor.value, "y", true);
    ctx.strokeStyle = paint.soft;
    ctx.lineWidth = ratio;
    ctx.setLineDash([4 * ratio, 4 * ratio]);
    ctx.beginPath();
    ctx.moveTo(plot.bbox.left, y);
    ctx.lineTo(right, y);
    ctx.stroke();
    put(floor.name, y, paint.soft);
  }
  for (const [at, name, colour] of names) {
    const values = plot.data[at];
    for (let k = values.length - 1; k >= 0; k -= 1) {
      if (values[k] !== null && values[k] !== undefined) {
        put(name, plot.valToPos(values[k], "y", true), colour);
        break;
      }
    }
  }
  ctx.fillStyle = paint.soft;
  ctx.textAlign = "left";
  ctx.fillText(axis, right + 18 * ratio, plot.bbox.top + plot.bbox.height + 14 * ratio);
  ctx.restore();
}
