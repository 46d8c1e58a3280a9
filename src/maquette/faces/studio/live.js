// Images that follow the hand: the newest wish is sent, one at a time, and drawn as it comes.
import { html, useEffect, useRef, useState } from "./base.js";
import { picture } from "./server.js";

const FLYING = 2; // one is on its way or being drawn while the next is made

/** Ask for what is wished for last; `show(bitmap, values, seconds)` is called with each answer that is newer than the one shown. */
export function useLive(show) {
  const state = useRef({ wish: null, flying: 0, sent: 0, shown: 0, stop: new AbortController(), times: [] });
  const shown = useRef(show);
  shown.current = show;
  const [error, fail] = useState("");
  const [rate, setRate] = useState(0);
  useEffect(() => () => state.current.stop.abort(), []);
  const go = async () => {
    const mine = state.current;
    if (mine.flying >= FLYING) return;
    mine.flying += 1;
    while (mine.wish) {
      const wish = mine.wish;
      mine.wish = null;
      const turn = (mine.sent += 1);
      try {
        const { blob, seconds } = await picture("/api/live", wish, mine.stop.signal);
        const bitmap = await createImageBitmap(blob);
        if (turn < mine.shown) continue;
        mine.shown = turn;
        shown.current(bitmap, wish, seconds);
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
    mine.flying -= 1;
  };
  const wish = (values) => {
    state.current.wish = values;
    go();
  };
  return { wish, error, rate };
}

const AIM = 0.06; // seconds that an image may take while the hand moves

/** Live images of a model that works in steps: fewer while the hand moves where all would be too slow, and all when it rests. */
export function useHand(show, dials) {
  const pace = useRef(0); // seconds a step
  const rest = useRef(0);
  const dial = dials?.find((one) => one.name === "steps" && one.kind === "integer");
  const stepsOf = (values) => values.dials?.steps ?? dial?.default;
  const hasty = (values) => {
    const all = stepsOf(values);
    const few = pace.current ? Math.max(2, Math.floor(AIM / pace.current)) : all;
    return few < all ? { ...values, dials: { ...values.dials, steps: few } } : values;
  };
  const { wish, error, rate } = useLive((bitmap, values, seconds) => {
    const taken = seconds / (stepsOf(values) ?? 1);
    if (taken > 0) pace.current = Math.min(pace.current * 1.1 || taken, taken);
    show(bitmap);
  });
  useEffect(() => () => clearTimeout(rest.current), []);
  const follow = (values) => {
    clearTimeout(rest.current);
    const now = hasty(values);
    wish(now);
    if (now !== values) rest.current = setTimeout(() => wish(values), 180);
  };
  return { follow, hasty, error, rate };
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

/** A bitmap as an element; `form` is the size that is kept for it before it comes. */
export function Tile({ bitmap, form, label }) {
  const canvas = useRef(null);
  useEffect(() => bitmap && put(canvas.current, bitmap), [bitmap]);
  return html`<canvas class="sharp" ref=${canvas} width=${form?.width} height=${form?.height} ...${label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" }}></canvas>`;
}
