// What a model is asked for: its own conditions as fields, seed, dials; the same values for the verbs and for live images.
import { html, useState } from "./base.js";
import { Pick, hand } from "./arrive.js";
import { Act, Button, Field, Wrong, useAct } from "./controls.js";
import { at } from "./server.js";
import { many, title } from "./words.js";

/** One condition of the model as a field. */
export function Condition({ spec, value, change }) {
  const optional = spec.optional ?? true;
  if (spec.kind === "label") {
    return html`<${Field} name=${title(spec.name)} hint=${false} setting=${{ name: spec.name, kind: "choice", default: "" }}
      options=${[...(optional ? [["", "as it comes"]] : []), ...spec.classes.map((one) => [one, one])]} value=${value} change=${(next) => change(next || undefined)} />`;
  }
  if (spec.kind === "text") {
    return html`<${Field} name=${title(spec.name)} setting=${{ name: spec.name, kind: "text", default: "", help: "what the image is to show, in words like those it learned", repeat: true, form: "" }} value=${value} change=${(next) => change(Array.isArray(next) ? next.join(" ") : next)} />`;
  }
  if (spec.kind === "number") {
    return html`<${Field} name=${title(spec.name)} hint=${false} setting=${{ name: spec.name, kind: "number", default: null, bounds: { ge: spec.low, le: spec.high } }} value=${value} change=${change} />`;
  }
  return html`<${Given} spec=${spec} value=${value} change=${change} />`;
}

/** An image that the model starts from: dropped on the field, or chosen. */
function Given({ spec, value, change }) {
  const { busy, error, press } = useAct(async (files) => change((await hand(files.slice(0, 1)))[0]));
  const [over, hover] = useState(false);
  const id = value?.startsWith?.("image:") ? value.slice(6) : null;
  return html`<div class="field" onDragOver=${(event) => { event.preventDefault(); hover(true); }} onDragLeave=${() => hover(false)}
      onDrop=${(event) => {
        hover(false);
        const from = event.dataTransfer.getData("application/x-maquette");
        if (!from && !event.dataTransfer.files.length) return;
        event.preventDefault();
        event.stopPropagation();
        if (from) change(`image:${from}`);
        else press([...event.dataTransfer.files].map((file) => ({ file, path: file.name })));
      }}>
    <span class="field-head">${title(spec.name)}</span>
    <div class=${over ? "given over" : "given"}>
      ${id && html`<img class="sharp" src=${at.image(id, 96)} alt="" />`}
      <span class="soft">${value ? (id ? "a made image" : String(value).split("/").at(-1)) : "Drop an image here"}</span>
      <${Pick} quiet several=${false} accept=${spec.kind === "frames" ? "image/*,video/*" : "image/*"} take=${press}>${busy ? "Sending" : "Choose"}<//>
      ${value && html`<${Button} quiet icon="close" label=${`No ${spec.name}`} onClick=${() => change(undefined)} />`}
    </div><${Wrong} text=${error} /></div>`;
}

/** What was asked for, in the form of the verbs `sample`, `complete` and those that edit. */
export function asVerb(specs, asked) {
  const values = {};
  const list = (kind) => specs.filter((spec) => spec.kind === kind && asked[spec.name] !== undefined && asked[spec.name] !== "");
  const labels = list("label");
  if (labels.length) values.label = specs.filter((spec) => spec.kind === "label").length > 1 ? labels.map((spec) => `${spec.name}=${asked[spec.name]}`).join(",") : asked[labels[0].name];
  const texts = list("text");
  if (texts.length) values.text = asked[texts[0].name];
  const numbers = list("number");
  if (numbers.length) values.number = numbers.map((spec) => `${spec.name}=${asked[spec.name]}`);
  const images = [...list("image"), ...list("map")];
  if (images.length) values.image = images.map((spec) => `${spec.name}=${asked[spec.name]}`);
  const frames = list("frames");
  if (frames.length) values.frames = asked[frames[0].name];
  return values;
}

/** The same in the form of live images. */
export function asLive(specs, asked, dials) {
  const { label, text } = asVerb(specs, asked);
  const number = Object.fromEntries(specs.filter((spec) => spec.kind === "number" && asked[spec.name] !== undefined).map((spec) => [spec.name, asked[spec.name]]));
  return { label, text, number: Object.keys(number).length ? number : undefined, dials: Object.keys(dials).length ? dials : undefined };
}

export const randomSeed = () => Math.floor(Math.random() * 1_000_000);

/** The seed, with a die. */
export function Seed({ value, change, setting }) {
  return html`<div class="seed"><${Field} name="Seed" hint=${false} setting=${{ ...setting, name: "seed", kind: "integer", default: 0 }} value=${value} change=${(next) => change(next ?? 0)} />
    <${Button} icon="dice" label="Another seed (R)" onClick=${() => change(randomSeed())} /></div>`;
}

export { Act, many };
