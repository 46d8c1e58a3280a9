// Make: a wall of what the model made; its conditions, seed and dials beside it; the map, mixes, variations, walks and completing.
import { html, useEffect, useState } from "../base.js";
import { hand, useDrop } from "../arrive.js";
import { Condition, Seed, asLive, asVerb, randomSeed } from "../asking.js";
import { Act, Bar, Button, Empty, Field, More, Wrong, useAct, useKept } from "../controls.js";
import { can, walk } from "../edits.js";
import { ask, at } from "../server.js";
import { useKeys } from "../shell.js";
import { ACTIVE, changed, datasets, done, go, jobs, place, run, start, tell, theRun, verb } from "../state.js";
import { Divided, Stage } from "../view.js";
import { Wall, fit, useChosen, usePages } from "../wall.js";
import { bytes, many, named, sentence, title } from "../words.js";
import { Complete } from "./complete.js";
import { Map, Mix, Variations } from "./map.js";
import { useRun } from "./train.js";

export function Room() {
  if (!theRun.value) {
    return html`<section class="surface" aria-label="Images"><${Empty} heading="Images are made here"
      action=${html`<${Button} primary onClick=${() => go({ room: datasets.value.length ? "train" : "data" })}>${datasets.value.length ? "Train a model" : "Bring images first"}<//>`}>
      A trained model makes them, as many as you like. There is no model yet.<//></section>`;
  }
  return html`<${Model} key=${run.value} id=${run.value} />`;
}

const SHOWN = new Set(["run", "to", "count", "seed", "label", "text", "number", "image", "frames", "dials"]);
const DIALS = 3;

function Model({ id }) {
  const { facts, error } = useRun(id, changed.runs.value);
  const [asked, askFor] = useKept(`asked.${id}`);
  const [dials, turn] = useKept(`dials.${id}`);
  const [values, set] = useKept("sample", { count: 16, seed: 0 });
  const pages = usePages(`/api/images?run=${encodeURIComponent(id)}`, changed.images.value);
  const keyOf = (item) => item.id;
  const picks = useChosen(keyOf, pages);
  const view = place.value.view ?? "wall";
  const { open } = place.value;
  const specs = facts?.conditions ?? [];
  const form = facts?.form ?? {};
  const making = useAct(async (seed = values.seed ?? 0) => {
    const { seed: _, ...rest } = values;
    await done(await start("sample", { run: id, to: folderOf(facts, { ...asVerb(specs, asked), ...dials, ...rest, count: 0 }), ...rest, seed, count: values.count || 16, ...asVerb(specs, asked), ...dials }));
  });
  const another = () => {
    const seed = randomSeed();
    set("seed", seed);
    making.press(seed);
  };
  const given = specs.find((one) => one.kind === "image" || one.kind === "map");
  useDrop(given ? `Drop an image as the ${given.name}` : facts?.completes ? "Drop an image to complete it" : "", async (files) => {
    const [name] = await hand(files.slice(0, 1));
    if (given) askFor(given.name, name);
    else go({ view: "complete", open: name });
  }, [id]);
  const compare = (item) => {
    if (open && open !== item.id && view === "wall") go({ view: "compare", open: `${open},${item.id}` });
    else if (picks.chosen.size === 1 && !picks.chosen.has(item.id)) go({ view: "compare", open: `${[...picks.chosen][0]},${item.id}` });
    else picks.choose(item, 0, {});
  };
  useKeys({
    r: () => view === "wall" && another(),
    s: () => view === "wall" && tell("What was made is kept already: it is in the gallery"),
    escape: () => (open || view !== "wall" ? go({ open: undefined, view: undefined }) : picks.none()),
  });
  const cell = fit(form.width, form.height, 132);
  const live = { run: id, ...asLive(specs, asked, dials) };
  const tools = { id, facts, live, asked: asVerb(specs, asked), dials };
  const busy = jobs.value.filter((job) => ["sample", "complete"].includes(job.verb) && ACTIVE.has(job.state) && (job.run ?? job.values?.run) === id);
  const settings = verb("sample")?.settings ?? [];
  const known = (name) => settings.find((one) => one.name === name) ?? { name, kind: "integer", bounds: {}, help: "" };
  const own = facts?.dials ?? [];
  const space = Math.max(0, Math.min(DIALS, 6 - specs.length));
  return html`<section class="surface" aria-label="Images made by this model">
      <div class="strip">
        <div class="tabs" role="group" aria-label="View">
          <${Button} quiet aria-pressed=${view === "wall"} onClick=${() => go({ view: undefined, open: undefined })}>Wall<//>
          ${facts?.lives !== false && html`<${Button} quiet aria-pressed=${view === "map"} onClick=${() => go({ view: "map", open: undefined })}>Map<//>`}
          ${!["wall", "map"].includes(view) && html`<${Button} quiet aria-pressed="true" icon="close" onClick=${() => go({ view: undefined, open: undefined })}>${title(view)}<//>`}
        </div>
        <span class="grow"></span>
        ${view === "wall" && !open && html`<${Chosen} picks=${picks} pages=${pages} tools=${tools} />`}
      </div>
      <${Wrong} text=${error || pages.error} />
      ${view === "map" ? html`<${Map} ...${tools} />`
        : view === "mix" ? html`<${Mix} ...${tools} pair=${open} />`
        : view === "variations" ? html`<${Variations} ...${tools} from=${open} />`
        : view === "complete" ? html`<${Complete} ...${tools} source=${open} />`
        : view === "film" ? html`<${Film} id=${open} />`
        : view === "compare" ? html`<${Compare} pair=${open} />`
        : open ? html`<${Opened} id=${open} pages=${pages} tools=${tools} />`
        : html`${busy.map((job) => html`<div class="pending" key=${job.id}><${Bar} done=${job.progress?.done} total=${job.progress?.total} label="Making images" /></div>`)}
          ${pages.total === 0 && !busy.length
            ? html`<${Empty} heading="Nothing was made yet" action=${html`<${Button} primary aria-busy=${making.busy} onClick=${() => making.press()}>Make ${many(values.count || 16, "image")}<//>`}>Each image has a number, its seed: the same seed gives the same image.<//>`
            : html`<${Wall} pages=${pages} cell=${cell} keyOf=${keyOf} chosen=${picks.chosen} label="Images made"
                picture=${(item) => ({ src: at.image(item.id), label: [Number.isFinite(item.seed) ? `seed ${item.seed}` : item.file, ...Object.values(item.conditions ?? {})].filter((one) => typeof one !== "object").join(", ") })}
                onOpen=${(item) => go({ open: item.id })} onChoose=${picks.choose} onSpace=${compare}
                onDrop=${(from, item) => go({ view: "mix", open: `${from},${item.id}` })} />`}`}
    </section>
    <aside class="column" aria-label="What to make">
      ${specs.map((spec) => html`<${Condition} key=${spec.name} spec=${spec} value=${asked[spec.name]} change=${(value) => askFor(spec.name, value)} />`)}
      <${Seed} setting=${known("seed")} value=${values.seed} change=${(seed) => set("seed", seed)} />
      <${Field} name="How many" hint=${false} setting=${{ ...known("count"), default: 16, bounds: { ge: 1, le: 64 } }} value=${values.count} change=${(count) => set("count", count ?? 16)} />
      ${own.slice(0, space).map((dial) => html`<${Field} key=${dial.name} setting=${dial} value=${dials[dial.name]} change=${(value) => turn(dial.name, value)} />`)}
      <div class="act wide"><${Button} primary aria-busy=${making.busy} disabled=${!facts || !theRun.value.makes} onClick=${() => making.press()}>Make<//><${Wrong} text=${making.error} />
        ${facts && !theRun.value.makes && html`<p class="soft">This model makes no images yet: it is still learning, or it is one that looks.</p>`}</div>
      <${More} groups=${[["This model's dials", own.slice(space), dials, turn], ["Images", settings.filter((one) => !SHOWN.has(one.name)), values, set]]} />
      ${theRun.value.makes && facts && html`<${Elsewhere} id=${id} name=${facts.name} />`}
    </aside>`;
}

const KINDS = [["html", "As a page", "makes images in any browser, by itself and without a network"], ["onnx", "As ONNX", "for other programs"]];

/** The model as a file to hand on: what was written stays to be saved again. */
function Elsewhere({ id, name }) {
  const [written, know] = useState([]);
  const file = (kind) => `${named(name, "model")}.${kind}`;
  const exporting = jobs.value.filter((job) => job.verb === "export" && job.values?.run === id);
  const ended = exporting.filter((job) => job.state === "done").length;
  useEffect(() => {
    ask("/api/exports").then(know, () => {});
  }, [id, ended]);
  const there = (kind) => written.find((one) => one.id === file(kind));
  return html`<details class="more"><summary>Take the model elsewhere</summary>
    ${KINDS.map(([kind, words, what]) => {
      const job = exporting.find((one) => ACTIVE.has(one.state) && String(one.values.to).endsWith(kind));
      return html`<div key=${kind} class="field"><div class="line"><${Act} disabled=${Boolean(job)} work=${async () => done(await start("export", { run: id, to: file(kind) }))}>${words}<//>
          ${there(kind) && !job && html`<a class="button" href=${there(kind).url} download=${file(kind)}>Save ${bytes(there(kind).bytes)}<//>`}</div>
        ${job && html`<${Bar} done=${job.progress?.done} total=${job.progress?.total} label="Writing the model" />`}
        <span class="hint">${sentence(what)}</span></div>`;
    })}
    <p class="hint">Images that are made elsewhere are not signed.</p></details>`;
}

/** The folder for images that are asked for in one way, so that no seed meets itself asked for otherwise. */
function folderOf(facts, asked) {
  const plain = (text) => String(text).replace(/[^\w.-]+/g, "-").replace(/^[.-]+|-+$/g, "").slice(0, 40);
  let sum = 7;
  for (const letter of JSON.stringify(asked)) sum = (sum * 31 + letter.codePointAt(0)) % 1679616; // four digits of base 36
  return [plain(facts?.name ?? "") || "images", plain(asked.label ?? asked.text ?? ""), sum.toString(36)].filter(Boolean).join("-");
}

function Chosen({ picks, pages, tools }) {
  const items = () => {
    const found = new globalThis.Map();
    for (let k = 0; k < (pages.total ?? 0); k += 1) if (pages.item(k)) found.set(pages.item(k).id, pages.item(k));
    return [...picks.chosen].map((id) => found.get(id)).filter(Boolean);
  };
  const { size } = picks.chosen;
  const film = async () => {
    const job = await walk(tools.id, items().map((item) => item.seed).filter(Number.isFinite), tools.asked);
    picks.none();
    go({ view: "film", open: job.id });
  };
  if (!size) return html`<span class="soft aside">${pages.total ? `${many(pages.total, "image")}; drop one on another to mix them` : ""}</span>`;
  return html`<span class="soft">${size} selected</span>
    ${size === 2 && html`<${Button} icon="compare" onClick=${() => go({ view: "compare", open: [...picks.chosen].join() })}>Compare<//>
      ${tools.facts?.lives !== false && html`<${Button} onClick=${() => go({ view: "mix", open: [...picks.chosen].join() })}>Mix<//>`}`}
    ${size > 1 && can("edit-walk") && html`<${Act} work=${film}>Walk between them<//>`}
    <${Button} onClick=${() => go({ room: "refine", open: [...picks.chosen].join() })}>Refine<//>
    <${Button} quiet onClick=${picks.none}>None<//>`;
}

function Opened({ id, pages, tools }) {
  let index = -1;
  for (let k = 0; k < (pages.total ?? 0); k += 1) if (pages.item(k)?.id === id) index = k;
  const item = index >= 0 ? pages.item(index) : null;
  const step = (by) => {
    const next = pages.item(index + by);
    if (next) go({ open: next.id }, { quietly: true });
  };
  useKeys({ arrowleft: () => step(-1), arrowright: () => step(1), escape: () => go({ open: undefined }), s: () => tell("It is kept already: it is in the gallery") }, 1);
  const words = item ? [Number.isFinite(item.seed) ? `seed ${item.seed}` : item.file, ...Object.values(item.conditions ?? {})].filter((one) => typeof one !== "object").join(", ") : "an image";
  return html`<${Stage} src=${at.image(id)} alt=${words} />
    <div class="strip under"><b>${words}</b><span class="grow"></span>
      ${tools.facts?.lives !== false && Number.isFinite(item?.seed) && html`<${Button} onClick=${() => go({ view: "variations", open: id })}>Variations<//>`}
      ${tools.facts?.completes && html`<${Button} icon="brush" onClick=${() => go({ view: "complete", open: `image:${id}` })}>Complete<//>`}
      <${Button} onClick=${() => go({ room: "refine", open: id })}>Refine<//>
      <${Button} onClick=${() => go({ room: "gallery", open: id })}>Its history<//>
      <a class="button" href=${at.file(id)} download=${item?.file ?? ""}>Save as<//>
      <${Button} quiet icon="close" label="Back to the wall" onClick=${() => go({ open: undefined })} /></div>`;
}

/** A walk as a film, as soon as it is made. */
function Film({ id }) {
  const job = jobs.value.find((one) => one.id === id);
  const film = job?.files?.find((one) => one.what === "film");
  if (!job) return html`<${Empty} heading="It is not there any more">The film itself is still in its folder of the workspace.<//>`;
  if (ACTIVE.has(job.state)) return html`<div class="pending"><p>Walking from one image to the next</p><${Bar} done=${job.progress?.done} total=${job.progress?.total} label="Making the film" /></div>`;
  if (!film) return html`<${Wrong} text=${job.error ?? "this was stopped before it was done"} />`;
  return html`<div class="stage">${/\.(mp4|webm)$/.test(film.name) ? html`<video src=${film.url} controls loop autoplay muted></video>` : html`<img class="sharp film" src=${film.url} alt="A walk between images" />`}</div>
    <div class="strip under"><b>${film.name}</b><span class="grow"></span><a class="button" href=${film.url} download=${film.name}>Save as<//></div>`;
}

function Compare({ pair }) {
  const [one, two] = String(pair).split(",");
  return html`<${Divided} before=${at.image(one)} after=${at.image(two)} names=${["one", "other"]} />`;
}
