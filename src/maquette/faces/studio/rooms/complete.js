// Completing: a brush says what is to be made anew, or a side that stays; the model makes the rest in several ways.
import { html, useState } from "../base.js";
import { hand } from "../arrive.js";
import { randomSeed } from "../asking.js";
import { Button, Choices, Field, Wrong, useAct } from "../controls.js";
import { at } from "../server.js";
import { useKeys } from "../shell.js";
import { done, go, start, verb } from "../state.js";
import { Painted, maskFile } from "../view.js";
import { many } from "../words.js";
import { useShownUpload } from "./refine.js";

export function Complete({ id, asked, source }) {
  const [mask, hold] = useState(null);
  const [clear, again] = useState(0);
  const [keep, setKeep] = useState("");
  const [made, show] = useState([]);
  const [count, set] = useState(4);
  const shown = useShownUpload(source);
  const { busy, error, press } = useAct(async () => {
    const values = { run: id, source, to: "completed", count, seed: randomSeed(), ...asked };
    if (keep) Object.assign(values, { keep });
    else if (mask) [values.mask] = await hand([{ file: await maskFile(mask), path: "mask.png" }]);
    else throw new Error("paint what is to be made anew, or choose a side that stays");
    const job = await done(await start("complete", values));
    show([...(job.images ?? []), ...made]);
  });
  useKeys({ r: press, escape: () => go({ view: undefined, open: undefined }) }, 1);
  const sides = verb("complete")?.settings.find((one) => one.name === "keep")?.choices ?? [];
  return html`<div class="explore complete">
    <div class="canvas-side">${shown && html`<${Painted} src=${shown} alt="The image to complete" hold=${hold} again=${clear} />`}
      <div><${Choices} rows legend="Or keep one half" options=${[["", "as painted"], ...sides.map((one) => [one, one])]} value=${keep} change=${setKeep} /></div>
      <div class="line"><${Field} name="How many" hint=${false} setting=${{ name: "count", kind: "integer", default: 4, bounds: { ge: 1, le: 16 } }} value=${count} change=${(value) => set(value ?? 4)} />
        <${Button} onClick=${() => again(clear + 1)}>Clear<//><${Button} primary aria-busy=${busy} onClick=${press}>Complete<//></div>
      <${Wrong} text=${error} /></div>
    <div class="variations" role="group" aria-label=${many(made.length, "way")}>${made.map((one) => html`<button key=${one} type="button" class="tile-button" aria-label="Open" onClick=${() => go({ view: undefined, open: one })}><img class="sharp" src=${at.image(one)} alt="" /></button>`)}</div>
  </div>`;
}
