// The steps of a recipe: dragged or moved with the keys, opened for their dials, laid on a part of the picture.
import { classes, html, useEffect, useRef, useState } from "../base.js";
import { Button, Field, More, useName } from "../controls.js";
import { Icon } from "../icons.js";
import { moved, nameOf, op, ops, recipes, step } from "../recipe.js";
import { sentence, title } from "../words.js";

const DIALS = 4;

export function Steps({ steps, set, opened, open, paint }) {
  const [drag, setDrag] = useState(null);
  const [said, say] = useState("");
  const list = useRef(null);
  const move = (from, to) => {
    if (to < 0 || to >= steps.length) return;
    set(moved(steps, from, to));
    say(`${title(nameOf(steps[from]))} is step ${to + 1} of ${steps.length}`);
    requestAnimationFrame(() => list.current?.querySelectorAll(".step-name")[to]?.focus());
  };
  const over = (event, index) => {
    if (drag === null) return;
    event.preventDefault();
    if (index !== drag) {
      set(moved(steps, drag, index));
      setDrag(index);
    }
  };
  return html`<ol class="steps" ref=${list} aria-label="Steps">
    ${steps.map((one, k) => html`<li key=${one.id} class=${classes("step", one.off && "off", drag === k && "dragged", opened === one.id && "open")}
        onDragOver=${(event) => over(event, k)} onDrop=${(event) => { event.preventDefault(); setDrag(null); }}>
      <div class="step-head">
        <span class="grip" draggable="true" title="Drag to move" onDragStart=${(event) => { event.dataTransfer.effectAllowed = "move"; event.dataTransfer.setData("text/plain", nameOf(one)); setDrag(k); }} onDragEnd=${() => setDrag(null)}><${Icon} name="grip" size=${16} /></span>
        <button type="button" class="step-name" aria-expanded=${opened === one.id} aria-keyshortcuts="Alt+ArrowUp Alt+ArrowDown" title="Alt and arrows move it"
          onClick=${() => open(opened === one.id ? null : one.id)}
          onKeyDown=${(event) => { if (event.altKey && ["ArrowUp", "ArrowDown"].includes(event.key)) { event.preventDefault(); move(k, k + (event.key === "ArrowUp" ? -1 : 1)); } }}>
          ${title(nameOf(one))}${one.where && html`<span class="soft"> on ${one.not ? "all but " : ""}${one.where}</span>`}</button>
        <input type="checkbox" checked=${!one.off} aria-label=${`${title(nameOf(one))} is on`} onChange=${(event) => set(steps.map((other) => (other === one ? { ...one, off: !event.target.checked } : other)))} />
        <${Button} quiet icon="close" label=${`Remove ${nameOf(one)}`} onClick=${() => set(steps.filter((other) => other !== one))} />
      </div>
      ${opened === one.id && html`<${Dials} one=${one} change=${(next) => set((now) => now.map((other) => (other.id === one.id ? { ...other, ...next } : other)))} paint=${paint}
        up=${k > 0 && (() => move(k, k - 1))} down=${k < steps.length - 1 && (() => move(k, k + 1))} />`}
    </li>`)}
  </ol><span class="unseen" role="status">${said}</span>`;
}

/** A dial of an op as a setting that a field can show. */
const asSetting = (dial) => ({ ...dial, option: dial.name, kind: ["number", "integer", "switch", "choice"].includes(dial.kind) ? dial.kind : "text" });

const STRENGTH = { name: "strength", kind: "number", default: 1, bounds: { ge: 0, le: 1 }, help: "" };

function Dials({ one, change, paint, up, down }) {
  const known = op(one.op);
  const turn = (name, value) => {
    const values = { ...one.values, [name]: value };
    if (value === undefined) delete values[name];
    change({ values });
  };
  const dials = (known?.dials ?? []).map(asSetting);
  const finders = (ops.value ?? []).filter((each) => each.kind === "select" || ["foreground"].includes(each.name)).map((each) => [each.name, title(each.name)]);
  return html`<div class="dials">
    ${known && html`<p class="soft">${sentence(known.sentence)}</p>`}
    ${dials.slice(0, DIALS).map((dial) => html`<${Field} key=${dial.name} setting=${dial} hint=${false} value=${one.values[dial.name]} change=${(value) => turn(dial.name, value)} />`)}
    ${(known || one.recipe) && html`<${Field} name="Strength" setting=${STRENGTH} hint=${false} value=${one.values.strength} change=${(value) => turn("strength", value)} />`}
    ${!one.raw && html`<${Field} name="Where" hint=${false} setting=${{ name: "where", kind: "choice", default: "" }} value=${one.where} change=${(where) => { change({ where: where ?? "" }); if (where === "painted" && !one.painted) paint(one.id); }}
      options=${[["", "everywhere"], ["painted", "where I paint"], ...finders]} />`}
    ${one.where && html`<div class="line"><${Field} name="All but that" hint=${false} setting=${{ name: "not", kind: "switch", default: false }} value=${one.not} change=${(not) => change({ not: Boolean(not) })} />
      ${one.where === "painted" && html`<${Button} icon="brush" onClick=${() => paint(one.id)}>${one.painted ? "Paint anew" : "Paint"}<//>`}</div>
      <${Field} name="Soft edge" hint=${false} setting=${{ name: "feather", kind: "number", default: 2, bounds: { ge: 0, le: 32 } }} value=${one.feather} change=${(feather) => change({ feather: feather ?? 2 })} />`}
    <div class="line">${up && html`<${Button} quiet icon="up" onClick=${up}>Earlier<//>`}${down && html`<${Button} quiet icon="down" onClick=${down}>Later<//>`}</div>
    <${More} groups=${[["More dials", dials.slice(DIALS), one.values, turn]]} />
  </div>`;
}

const GROUPS = { colour: "Colour", filter: "Filters", effect: "Effects", segment: "Cut out", geometry: "Size and shape", select: "Masks" };

/** The list of everything that a step can be. */
export function Adding({ add }) {
  const [open, show] = useState(false);
  const [find, search] = useState("");
  const box = useRef(null);
  const id = useName("adding");
  useEffect(() => {
    if (open && !box.current.open) box.current.showModal();
    if (!open && box.current?.open) box.current.close();
  }, [open]);
  const fits = (one) => `${one.name} ${one.sentence}`.toLowerCase().includes(find.toLowerCase());
  const take = (one) => {
    add(one);
    show(false);
    search("");
  };
  return html`<${Button} icon="plus" onClick=${() => show(true)}>Add a step<//>
    <dialog class="adding" ref=${box} aria-labelledby=${id} onClose=${() => show(false)} onClick=${(event) => event.target === box.current && show(false)}>
      ${open && html`<div class="line"><h2 class="grow" id=${id}>Add a step</h2><${Button} quiet icon="close" label="Close" onClick=${() => show(false)} /></div>
        <input type="search" aria-label="Search steps" placeholder="Search: sharpen, grain, sky ..." value=${find} onInput=${(event) => search(event.target.value)} />
        <div class="adding-list">
          ${Object.entries(GROUPS).map(([kind, words]) => [words, (ops.value ?? []).filter((one) => one.kind === kind && fits(one))]).filter(([, list]) => list.length).map(([words, list]) => html`<section key=${words}><h3>${words}</h3>
            <ul>${list.map((one) => html`<li key=${one.name}><button type="button" onClick=${() => take(step(one.name))}><b>${title(one.name)}</b><span>${sentence(one.sentence)}</span></button></li>`)}</ul></section>`)}
          ${recipes.value.filter((one) => one.id.includes(find.toLowerCase())).length > 0 && html`<section><h3>Whole recipes</h3><ul>${recipes.value.filter((one) => one.id.includes(find.toLowerCase())).map((one) => html`<li key=${one.id}><button type="button" onClick=${() => take({ ...step(""), recipe: one.id })}><b>${title(one.id)}</b><span>${one.words ?? ""}</span></button></li>`)}</ul></section>`}
        </div>`}
    </dialog>`;
}
