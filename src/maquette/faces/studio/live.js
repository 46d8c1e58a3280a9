// Images that follow the hand: the newest wish is sent, one at a time, and drawn as it comes.
import { html, useEffect, useRef, useState } from "./base.js";
import { picture } from "./server.js";

/** Ask for what is wished for last; `show(bitmap, seconds)` is called with each answer. */
export function useLive(show) {
  const state = useRef({ wish: null, busy: false, stop: null, times: [] });
  const shown = useRef(show);
  shown.current = show;
  const [error, fail] = useState("");
  const [rate, setRate] = useState(0);
  useEffect(() => () => state.current.stop?.abort(), []);
  const go = async () => {
    const mine = state.current;
    if (mine.busy) return;
    mine.busy = true;
    while (mine.wish) {
      const wish = mine.wish;
      mine.wish = null;
      mine.stop = new AbortController();
      try {
        const { blob } = await picture(wish.path, wish.values, mine.stop.signal);
        const bitmap = await createImageBitmap(blob);
        shown.current(bitmap, wish.values);
        const now = performance.now();
        mine.times = [...mine.times.filter((time) => now - time < 1000), now];
        if (mine.times.length > 2) setRate(Math.round(((mine.times.length - 1) * 1000) / (now - mine.times[0])));
        fail("");
      } catch (problem) {
        if (problem.name === "AbortError") break;
        if (problem.status === 429) {
          mine.wish ??= wish;
          await new Promise((resolve) => setTimeout(resolve, 150));
        } else fail(problem.message);
      }
    }
    mine.busy = false;
  };
  const wish = (values, path = "/api/live") => {
    state.current.wish = { values, path };
    go();
  };
  return { wish, error, rate };
}

/** A picture that is drawn on, sharp when small. */
export function Drawn({ hold, width, height, label, clear, aim = 384 }) {
  const canvas = useRef(null);
  useEffect(() => hold(canvas.current), []);
  const scale = Math.max(1, Math.floor(aim / Math.max(width || 64, height || 64)));
  return html`<canvas class=${clear ? "drawn sharp alpha" : "drawn sharp"} ref=${canvas} role="img" aria-label=${label} width=${width || 64} height=${height || 64}
    style=${{ width: `${(width || 64) * scale}px`, maxWidth: "100%", aspectRatio: `${width || 1} / ${height || 1}` }}></canvas>`;
}

/** Put a bitmap on a canvas, whatever size it has. */
export function put(canvas, bitmap) {
  if (!canvas) return;
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(bitmap, 0, 0);
}

/** Several images made at once: the tiles of one strip. */
export async function tiles(values, rows, stop) {
  const { blob } = await picture("/api/live", { ...values, rows }, stop);
  const strip = await createImageBitmap(blob);
  const width = strip.width / rows.length;
  return Promise.all(rows.map((_, k) => createImageBitmap(strip, Math.round(k * width), 0, Math.round(width), strip.height)));
}

/** A bitmap as an element. */
export function Tile({ bitmap, label }) {
  const canvas = useRef(null);
  useEffect(() => bitmap && put(canvas.current, bitmap), [bitmap]);
  return html`<canvas class="sharp" ref=${canvas} ...${label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" }}></canvas>`;
}
