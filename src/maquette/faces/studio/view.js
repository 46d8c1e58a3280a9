// Looking at pictures: one at its true size, two under a divider that is dragged, and one that is painted on.
import { classes, html, useEffect, useLayoutEffect, useRef, useState } from "./base.js";
import { Button, Field } from "./controls.js";

/** The size at which a picture stands in a frame: small ones at whole multiples. */
export function useShown(frame, width, height) {
  const [size, set] = useState(null);
  useLayoutEffect(() => {
    const box = frame.current;
    if (!box || !width || !height) return undefined;
    const measure = () => {
      const style = getComputedStyle(box);
      const wide = box.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
      const high = box.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom);
      const fits = Math.min(wide / width, high / height);
      const scale = fits >= 1 ? Math.max(1, Math.min(Math.floor(fits), Math.max(1, Math.floor(720 / Math.max(width, height))))) : fits;
      set({ width: Math.round(width * scale), height: Math.round(height * scale), scale });
    };
    const watch = new ResizeObserver(measure);
    watch.observe(box);
    measure();
    return () => watch.disconnect();
  }, [width, height]);
  return size;
}

/** The true size of a picture, known once it is loaded. */
export function useNatural(src) {
  const [size, set] = useState(null);
  useEffect(() => {
    if (!src) return undefined;
    let alive = true;
    const image = new Image();
    image.onload = () => alive && set({ src, width: image.naturalWidth, height: image.naturalHeight });
    image.onerror = () => alive && set({ src, width: 0, height: 0, failed: true });
    image.src = src;
    return () => (alive = false);
  }, [src]);
  return size;
}

/** One picture on the stage; a press shows every pixel as one of the screen, or fits it again. */
export function Stage({ src, alt, tile, children }) {
  const frame = useRef(null);
  const natural = useNatural(src);
  const shown = useShown(frame, natural?.width, natural?.height);
  const [how, set] = useState("fit");
  const size = how === "true" ? natural : shown;
  return html`<div class=${classes("stage", how === "true" && "true")} ref=${frame}>
    ${natural?.failed && html`<p class="soft">This picture is not there any more.</p>`}
    ${size && !natural.failed && (how === "tile" || tile
      ? html`<div class="tiles-of" role="img" aria-label=${`${alt}, repeated three by three`} style=${{ backgroundImage: `url("${src}")`, width: `${natural.width * 3}px`, height: `${natural.height * 3}px` }}></div>`
      : html`<img class=${classes("alpha", natural.width <= 256 && "sharp")} src=${src} alt=${alt} style=${{ width: `${size.width}px`, height: `${size.height}px` }} />`)}
    ${children}
    <div class="stage-tools" role="group" aria-label="How it is shown">
      ${[["fit", "Fit"], ["true", "1 : 1"], ["tile", "3 × 3"]].map(([key, words]) => html`<button key=${key} type="button" class="button quiet" aria-pressed=${how === key} onClick=${() => set(key)}>${words}</button>`)}
    </div>
  </div>`;
}

/** Two pictures of the same thing, left and right of a line that is dragged; `times` is how much coarser the second was made. */
export function Divided({ before, after, names = ["before", "after"], place, move, busy, times = 1 }) {
  const frame = useRef(null);
  const natural = useNatural(after ?? before);
  const ratio = useRef({ src: null, times: 1 });
  if (natural && natural.src === (after ?? before)) ratio.current = { src: natural.src, times };
  const whole = (side) => side && Math.round(side * ratio.current.times);
  const shown = useShown(frame, whole(natural?.width), whole(natural?.height));
  const box = useRef(null);
  const [own, setOwn] = useState(0.5);
  const at = place ?? own;
  const set = (value) => (move ?? setOwn)(Math.max(0, Math.min(1, value)));
  const follow = (event) => {
    if (event.type === "pointerdown") event.currentTarget.setPointerCapture(event.pointerId);
    else if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    const around = box.current.getBoundingClientRect();
    set((event.clientX - around.left) / around.width);
  };
  const press = (event) => {
    const steps = { ArrowLeft: -0.05, ArrowRight: 0.05, Home: -1, End: 1 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    set(at + steps[event.key]);
  };
  const sharp = times === 1 && natural?.width <= 256 ? "sharp" : "";
  return html`<div class="stage" ref=${frame} aria-busy=${busy}>
    ${natural?.failed && html`<p class="soft">This picture is not there any more.</p>`}
    ${shown && !natural.failed && html`<div class="divided alpha" ref=${box} style=${{ width: `${shown.width}px`, height: `${shown.height}px` }}
        onPointerDown=${follow} onPointerMove=${follow}>
      <img class=${sharp} src=${before} alt=${names[0]} draggable=${false} />
      <div class="over-half" style=${{ clipPath: `inset(0 0 0 ${at * 100}%)` }}><img class=${classes("alpha", sharp)} src=${after ?? before} alt=${names[1]} draggable=${false} /></div>
      <div class="handle" role="slider" tabindex="0" aria-label="Divider" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(at * 100)}
        aria-valuetext=${`${Math.round(at * 100)} of 100 ${names[0]}`} style=${{ left: `${at * 100}%` }} onKeyDown=${press}></div>
      ${at > 0.12 && html`<span class="tag left">${names[0]}</span>`}${at < 0.88 && html`<span class="tag right">${names[1]}</span>`}
    </div>`}
  </div>`;
}

/** A picture that one paints on. `ready(canvas)` hands over the mask: white where it was painted. */
export function Painted({ src, alt, hold, again }) {
  const frame = useRef(null);
  const mask = useRef(null);
  const natural = useNatural(src);
  const shown = useShown(frame, natural?.width, natural?.height);
  const [brush, setBrush] = useState({ size: 16, rubber: false });
  const last = useRef(null);
  useEffect(() => {
    if (!mask.current || !natural?.width) return;
    mask.current.width = natural.width;
    mask.current.height = natural.height;
    hold(null);
  }, [natural?.src, again, Boolean(shown)]);
  const paint = (event) => {
    if (event.type === "pointerdown") {
      event.currentTarget.setPointerCapture(event.pointerId);
      last.current = null;
    } else if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    const around = mask.current.getBoundingClientRect();
    const scale = natural.width / around.width;
    const point = [(event.clientX - around.left) * scale, (event.clientY - around.top) * scale];
    const from = last.current ?? point;
    const pen = mask.current.getContext("2d");
    pen.globalCompositeOperation = brush.rubber ? "destination-out" : "source-over";
    pen.strokeStyle = "#fff";
    pen.lineCap = "round";
    pen.lineWidth = (brush.size / 100) * Math.max(natural.width, natural.height);
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(point[0] + 0.01, point[1]);
    pen.stroke();
    last.current = point;
  };
  const lift = () => last.current && hold(mask.current);
  return html`<div class="stage" ref=${frame}>
      ${shown && html`<div class="painted" style=${{ width: `${shown.width}px`, height: `${shown.height}px` }}>
        <img class=${natural.width <= 256 ? "sharp" : ""} src=${src} alt=${alt} style=${{ width: "100%", height: "100%" }} />
        <canvas ref=${mask} aria-label="Paint here" role="img" onPointerDown=${paint} onPointerMove=${paint} onPointerUp=${lift}></canvas></div>`}
    </div>
    <div class="strip brushes">
      <${Field} name="Brush" hint=${false} setting=${{ name: "size", kind: "integer", default: 16, bounds: { ge: 1, le: 60 } }} value=${brush.size} change=${(size) => setBrush({ ...brush, size: size ?? 16 })} />
      <${Button} icon="brush" aria-pressed=${!brush.rubber} onClick=${() => setBrush({ ...brush, rubber: false })}>Paint<//>
      <${Button} icon="close" aria-pressed=${brush.rubber} onClick=${() => setBrush({ ...brush, rubber: true })}>Rub out<//>
    </div>`;
}

/** The painted mask as a picture file: white where it was painted, black elsewhere. */
export function maskFile(canvas) {
  const whole = document.createElement("canvas");
  whole.width = canvas.width;
  whole.height = canvas.height;
  const pen = whole.getContext("2d");
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, whole.width, whole.height);
  pen.drawImage(canvas, 0, 0);
  return new Promise((resolve) => whole.toBlob((blob) => resolve(new File([blob], "mask.png", { type: "image/png" })), "image/png"));
}
