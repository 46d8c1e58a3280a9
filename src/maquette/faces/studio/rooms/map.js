// The map: a plane of seeds that one moves over while the image follows; mixes of two; variations of one.
import { html, useEffect, useMemo, useRef, useState } from "../base.js";
import { randomSeed } from "../asking.js";
import { Act, Button, Field, Wrong, useAct } from "../controls.js";
import { can, keepMix } from "../edits.js";
import { Drawn, Tile, put, tiles, useHand } from "../live.js";
import { ask } from "../server.js";
import { useKeys } from "../shell.js";
import { go } from "../state.js";
import { number } from "../words.js";

const SIDE = 4; // seeds along each side of the plane
const DRAWN = 8; // tiles along each side that the plane is drawn with

/** The four seeds around a place and how much each counts there. */
export function around(seeds, x, y) {
  const [left, top] = [Math.min(SIDE - 2, Math.floor(x)), Math.min(SIDE - 2, Math.floor(y))];
  const [u, v] = [x - left, y - top];
  const corners = [[0, 0, (1 - u) * (1 - v)], [1, 0, u * (1 - v)], [0, 1, (1 - u) * v], [1, 1, u * v]];
  const kept = corners.filter(([, , weight]) => weight > 1e-6);
  return { seeds: kept.map(([a, b]) => seeds[(top + b) * SIDE + left + a]), weights: kept.map(([, , weight]) => weight) };
}

export function Map({ id, facts, live, asked, dials }) {
  const [base, setBase] = useState(() => randomSeed());
  const seeds = useMemo(() => Array.from({ length: SIDE * SIDE }, (_, k) => (base + k * 7919) % 1_000_000), [base]);
  const [spot, move] = useState({ x: (SIDE - 1) / 2, y: (SIDE - 1) / 2 });
  const canvas = useRef(null);
  const plane = useRef(null);
  const [ground, lay] = useState(null);
  const { follow: see, hasty, error, rate } = useHand((bitmap) => put(canvas.current, bitmap), facts?.dials);
  const form = facts?.form ?? {};
  const asking = JSON.stringify(live);
  useEffect(() => {
    if (facts) see({ ...live, ...around(seeds, spot.x, spot.y) });
  }, [spot, seeds, asking, Boolean(facts)]);
  useEffect(() => {
    const stop = new AbortController();
    const part = (SIDE - 1) / (DRAWN - 1);
    // Row by row, so that images under the hand come in between.
    const draw = async () => {
      let drawn = [];
      for (let y = 0; y < DRAWN; y += 1) {
        const places = Array.from({ length: DRAWN }, (_, x) => around(seeds, x * part, y * part));
        drawn = [...drawn, ...(await tiles({ ...hasty(live), width: Math.min(64, form.width ?? 64) }, places, stop.signal))];
        lay([...drawn, ...Array(DRAWN * DRAWN - drawn.length).fill(null)]);
      }
    };
    const wait = setTimeout(() => facts && draw().catch(() => {}), 400);
    return () => {
      clearTimeout(wait);
      stop.abort();
    };
  }, [seeds, asking, Boolean(facts)]);
  const keep = useAct(() => {
    const { seeds: some, weights } = around(seeds, spot.x, spot.y);
    return keepMix(id, some, weights, asked, dials);
  });
  const another = () => {
    lay(null);
    setBase(randomSeed());
  };
  useKeys({ r: another, s: keep.press, escape: () => go({ view: undefined }) }, 1);
  const follow = (event) => {
    if (event.type === "pointerdown") event.currentTarget.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch" && event.type === "pointermove" && !event.currentTarget.hasPointerCapture(event.pointerId)) return;
    const box = plane.current.getBoundingClientRect();
    const within = (value) => Math.max(0, Math.min(SIDE - 1, value * (SIDE - 1)));
    move({ x: within((event.clientX - box.left) / box.width), y: within((event.clientY - box.top) / box.height) });
  };
  const press = (event) => {
    const steps = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const [dx, dy] = steps[event.key];
    move({ x: Math.max(0, Math.min(SIDE - 1, spot.x + dx)), y: Math.max(0, Math.min(SIDE - 1, spot.y + dy)) });
  };
  const percent = (value) => `${(value / (SIDE - 1)) * 100}%`;
  const ratio = `${form.width ?? 1} / ${form.height ?? 1}`;
  return html`<div class="explore">
      <div class="plane" ref=${plane} role="application" tabindex="0" aria-label="Map of what the model can make: arrows or the pointer move, S keeps the image, R takes another map"
          style=${{ aspectRatio: ratio }} onPointerMove=${follow} onPointerDown=${follow} onKeyDown=${press}>
        ${ground ? ground.map((bitmap, k) => html`<${Tile} key=${k} bitmap=${bitmap} label="" />`) : html`<p class="soft">Drawing the map</p>`}
        <span class="spot" style=${{ left: percent(spot.x), top: percent(spot.y) }}></span>
      </div>
      <figure class="following"><${Drawn} hold=${(node) => (canvas.current = node)} width=${form.width} height=${form.height} clear=${form.mode === "rgba"} label="The image at this place" />
        <figcaption class="line"><${Button} icon="save" aria-busy=${keep.busy} disabled=${!can("edit-mix")} onClick=${keep.press}>Keep<//><${Button} icon="dice" onClick=${another}>Another map<//>
          <span class="soft" data-rate=${rate}>${rate > 1 ? `${rate} images a second` : ""}</span></figcaption>
        <${Wrong} text=${error || keep.error} /></figure>
    </div>`;
}

/** Facts of made images by their ids. */
function useImages(ids) {
  const [items, set] = useState([]);
  const [error, fail] = useState("");
  useEffect(() => {
    let alive = true;
    Promise.all(ids.map((one) => ask(`/api/images/${encodeURIComponent(one)}`))).then((found) => alive && set(found), (problem) => alive && fail(problem.message));
    return () => (alive = false);
  }, [ids.join()]);
  return { items, error };
}

export function Mix({ id, facts, live, asked, dials, pair }) {
  const { items, error } = useImages(String(pair).split(","));
  const [at, move] = useState(0.5);
  const [row, lay] = useState(null);
  const canvas = useRef(null);
  const { follow, error: wrong } = useHand((bitmap) => put(canvas.current, bitmap), facts?.dials);
  const seeds = items.map((item) => item.seed);
  const able = seeds.length === 2 && seeds.every(Number.isFinite);
  const asking = JSON.stringify(live);
  useEffect(() => {
    if (able) follow({ ...live, seeds, weights: [1 - at, at] });
  }, [at, able, seeds.join(), asking]);
  useEffect(() => {
    if (!able) return undefined;
    const stop = new AbortController();
    tiles({ ...live }, Array.from({ length: 9 }, (_, k) => ({ seeds, weights: [1 - k / 8, k / 8] })), stop.signal).then(lay, () => {});
    return () => stop.abort();
  }, [able, seeds.join(), asking]);
  const keep = useAct(() => keepMix(id, seeds, [1 - at, at], asked, dials));
  useKeys({ s: keep.press, escape: () => go({ view: undefined, open: undefined }) }, 1);
  const form = facts?.form ?? {};
  return html`<div class="explore one">
    ${items.length === 2 && !able && html`<${Wrong} text="only images that a seed made can be mixed: these came from elsewhere" />`}
    <figure class="following"><${Drawn} hold=${(node) => (canvas.current = node)} width=${form.width} height=${form.height} clear=${form.mode === "rgba"} label=${`A mix: ${Math.round(at * 100)} of 100 of the second image`} />
      ${able && html`<div class="row" role="group" aria-label="On the way from one to the other">${Array.from({ length: 9 }, (_, k) => html`<button key=${k} type="button" aria-label=${`${k * 12.5} of 100`} onClick=${() => move(k / 8)}><${Tile} bitmap=${row?.[k]} form=${form} label="" /></button>`)}</div>`}
      <${Field} name="From one to the other" hint=${false} setting=${{ name: "at", kind: "number", default: 0.5, bounds: { ge: 0, le: 1 } }} value=${at} change=${(value) => move(value ?? 0.5)} />
      <figcaption class="line"><${Button} primary icon="save" aria-busy=${keep.busy} disabled=${!able || !can("edit-mix")} onClick=${keep.press}>Keep<//></figcaption>
      <${Wrong} text=${error || wrong || keep.error} /></figure>
  </div>`;
}

export function Variations({ id, live, asked, dials, from }) {
  const ids = useMemo(() => [from], [from]);
  const { items, error } = useImages(ids);
  const [far, reach] = useState(0.35);
  const [base, setBase] = useState(() => randomSeed());
  const [made, lay] = useState(null);
  const [wrong, fail] = useState("");
  const seed = items[0]?.seed;
  const rows = useMemo(() => Array.from({ length: 16 }, (_, k) => ({ seeds: [seed, base + k], weights: [1 - far, far] })), [seed, base, far]);
  useEffect(() => {
    if (!Number.isFinite(seed)) return undefined;
    const stop = new AbortController();
    const wait = setTimeout(() => tiles(live, rows, stop.signal).then((found) => { lay(found); fail(""); }, (problem) => problem.name !== "AbortError" && fail(problem.message)), 120);
    return () => {
      clearTimeout(wait);
      stop.abort();
    };
  }, [rows, JSON.stringify(live)]);
  useKeys({ r: () => setBase(randomSeed()), escape: () => go({ view: undefined, open: from }) }, 1);
  return html`<div class="explore one">
    <div class="line"><${Field} name="How far from it" hint=${false} setting=${{ name: "far", kind: "number", default: 0.35, bounds: { ge: 0, le: 1 } }} value=${far} change=${(value) => reach(value ?? 0.35)} />
      <${Button} icon="dice" onClick=${() => setBase(randomSeed())}>Others<//><span class="soft">A press keeps one; distance ${number(far)}</span></div>
    <${Wrong} text=${error || wrong} />
    <div class="variations">${made?.map((bitmap, k) => html`<${Act} key=${k} label=${`Keep variation ${k + 1}`} class="tile-button" work=${() => keepMix(id, rows[k].seeds, rows[k].weights, asked, dials)}><${Tile} bitmap=${bitmap} label="" /><//>`)}</div>
  </div>`;
}
