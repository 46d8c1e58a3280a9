// Refine: the picture before and after, the recipe as a list of steps that one drags, dials that show at once what they do.
import { html, keep, kept, useEffect, useMemo, useRef, useState } from "../base.js";
import { Pick, hand, useDrop } from "../arrive.js";
import { Act, Bar, Button, Empty, Field, Wrong, useAct } from "../controls.js";
import { fromJson, learnOps, recipes, toJson } from "../recipe.js";
import { at, ask, change, picture } from "../server.js";
import { useKeys } from "../shell.js";
import { ACTIVE, done, go, jobs, place, start, tell, theRun, verb } from "../state.js";
import { Divided, Painted, maskFile } from "../view.js";
import { many, named, title } from "../words.js";
import { Adding, Steps } from "./steps.js";

/** Sources named in the address: ids of made images, or files that were handed in. */
const sources = () => (place.value.open ? place.value.open.split(",").map((one) => (one.includes(":") ? one : `image:${one}`)) : []);

/** The address of a source that the page can show. */
export function useShownUpload(source) {
  const [found, set] = useState({ source: null, url: null });
  const made = source?.startsWith("image:") ? at.image(source.slice(6)) : null;
  useEffect(() => {
    if (!source || made) return undefined;
    let url = null;
    let alive = true;
    picture("/api/preview", { image: source, recipe: "", width: 1024 }).then(({ blob }) => {
      if (!alive) return;
      url = URL.createObjectURL(blob);
      set({ source, url });
    }, () => {});
    return () => {
      alive = false;
      if (url) URL.revokeObjectURL(url);
    };
  }, [source]);
  return made ?? (found.source === source ? found.url : null);
}

const AIM = 0.08; // seconds that a preview may take while a slider moves

/** The picture as a recipe leaves it: only the newest wish counts. Where all of it would be late it is shown coarser first, and fine as soon as no newer wish has come. */
function usePreview(image, steps, seed, width) {
  const [state, set] = useState({ url: null, error: "", busy: false, times: 1 });
  const mine = useRef({ wish: null, busy: false, url: null, alive: true, pace: {} });
  useEffect(() => () => {
    mine.current.alive = false;
    if (mine.current.url) URL.revokeObjectURL(mine.current.url);
  }, []);
  const ops = steps.map((one) => one.op ?? one.recipe ?? one.on ?? one).join();
  const wish = image && JSON.stringify({ image, recipe: steps.length ? { steps } : "", width, seed: seed || undefined });
  useEffect(() => {
    const own = mine.current;
    if (!wish) return;
    own.wish = { values: JSON.parse(wish), ops };
    if (own.busy) return;
    (async () => {
      own.busy = true;
      set((now) => ({ ...now, busy: true }));
      while (own.wish && own.alive) {
        const { values, ops: known, fine } = own.wish;
        own.wish = null;
        const share = fine ? 1 : Math.sqrt(AIM / (own.pace[known] || AIM));
        const coarse = share < 0.9;
        const shown = coarse ? Math.max(192, Math.floor((values.width * share) / 32) * 32) : values.width;
        try {
          const { blob, seconds } = await picture("/api/preview", { ...values, width: shown });
          if (!own.alive) return;
          own.pace[known] = seconds * (values.width / shown) ** 2;
          const url = URL.createObjectURL(blob);
          const old = own.url;
          own.url = url;
          if (shown < values.width) own.wish ??= { values, ops: known, fine: true };
          set({ url, error: "", busy: Boolean(own.wish), times: values.width / shown });
          if (old) setTimeout(() => URL.revokeObjectURL(old), 2000);
        } catch (problem) {
          if (problem.status === 429 && own.alive) {
            own.wish ??= { values, ops: known };
            await new Promise((resolve) => setTimeout(resolve, 200));
          } else set((now) => ({ ...now, error: problem.message, busy: false }));
        }
      }
      own.busy = false;
      set((now) => ({ ...now, busy: false }));
    })();
  }, [wish]);
  return state;
}

export function Room() {
  const [steps, write] = useState(() => kept("recipe", []));
  const [error, fail] = useState("");
  useEffect(() => {
    learnOps().catch((problem) => fail(problem.message));
  }, []);
  useDrop("Drop pictures to refine them", async (files) => go({ open: (await hand(files.slice(0, 500))).join() }));
  const set = (next) => {
    write((now) => {
      const value = typeof next === "function" ? next(now) : next;
      keep("recipe", value);
      return value;
    });
  };
  const list = sources();
  if (!list.length) return html`<${Start} error=${error} />`;
  return html`<${Bench} list=${list} steps=${steps} set=${set} error=${error} />`;
}

function Start({ error }) {
  const newest = async () => {
    const answer = await ask("/api/images?limit=1");
    if (!answer.images?.length) throw new Error("nothing was made yet: choose a file, or make images first");
    go({ open: answer.images[0].id });
  };
  return html`<section class="surface" aria-label="Picture"><${Empty} heading="Pictures are finished here"
    action=${html`<${Act} primary work=${newest}>Take the newest image<//><${Pick} quiet accept="image/*" take=${async (files) => go({ open: (await hand(files)).join() })}>Choose pictures<//>`}>
    Sharpen, colour, cut out, grain and eighty more, on one picture or a thousand. Drop pictures anywhere, or open one from Make or the Gallery.<//><${Wrong} text=${error} /></section>`;
}

function Bench({ list, steps, set, error }) {
  const [index, show] = useState(0);
  const [seed, reseed] = useState(0);
  const [split, divide] = useState(0.5);
  const [painting, paint] = useState(null);
  const [opened, open] = useState(steps[0]?.id);
  const source = list[Math.min(index, list.length - 1)];
  const width = useMemo(() => Math.min(1024, Math.max(256, Math.round(Math.min(innerWidth - 460, innerHeight) / 64) * 64)), []);
  const before = usePreview(source, [], 0, width);
  const json = toJson(steps);
  const after = usePreview(source, json, seed, width);
  const last = useRef(0.5);
  const compare = () => {
    if (split < 1) {
      last.current = split;
      divide(1);
    } else divide(last.current);
  };
  const apply = useApply(list, source, json, seed);
  useKeys({ space: compare, r: () => reseed(Math.floor(Math.random() * 1e6)), s: () => apply.press("this"), arrowleft: () => show(Math.max(0, index - 1)), arrowright: () => show(Math.min(list.length - 1, index + 1)), escape: () => paint(null) });
  const step = steps.find((one) => one.id === painting);
  return html`<section class="surface" aria-label="Picture, before and after">
      <div class="strip"><span class="soft">${source.startsWith("image:") ? "a made image" : source.split("/").at(-1)}${list.length > 1 ? `, ${index + 1} of ${list.length}` : ""}</span>
        ${list.length > 1 && html`<${Button} onClick=${() => show((index + 1) % list.length)}>Next picture<//>`}
        <span class="grow"></span>
        ${after.busy && html`<span class="soft">${after.times > 1 ? "coarse at first" : "..."}</span>`}
        <${Pick} quiet accept="image/*" take=${async (files) => go({ open: (await hand(files)).join() })}>Other pictures<//></div>
      <${Wrong} text=${after.error || before.error || error} />
      ${step
        ? html`<${Mask} key=${step.id} src=${before.url} end=${async (canvas) => {
            if (canvas) {
              const [name] = await hand([{ file: await maskFile(canvas), path: "mask.png" }]);
              set((now) => now.map((one) => (one.id === step.id ? { ...one, painted: name } : one)));
            }
            paint(null);
          }} />`
        : before.url && html`<${Divided} before=${before.url} after=${after.url ?? before.url} place=${split} move=${divide} busy=${after.busy} times=${after.url ? after.times : 1} />`}
    </section>
    <aside class="column" aria-label="Recipe">
      <div class="line"><h2 class="grow">Recipe</h2><${Adding} add=${(one) => { set((now) => [...now, one]); open(one.id); }} /></div>
      ${steps.length ? html`<${Steps} steps=${steps} set=${set} opened=${opened} open=${open} paint=${paint} />` : html`<p class="soft">Nothing is done yet. Add a step, or begin with a recipe.</p>`}
      <${Named} steps=${steps} json=${json} set=${set} />
      <hr />
      <${Apply} list=${list} source=${source} apply=${apply} able=${json.length > 0} />
    </aside>`;
}

function Mask({ src, end }) {
  const [canvas, hold] = useState(null);
  const [clear, again] = useState(0);
  return html`<${Painted} src=${src} alt="Paint where the step works" hold=${hold} again=${clear} />
    <div class="strip"><${Act} primary disabled=${!canvas} work=${() => end(canvas)}>Use this mask<//><${Button} onClick=${() => again(clear + 1)}>Clear<//><${Button} quiet onClick=${() => end(null)}>Leave it<//></div>`;
}

function Named({ steps, json, set }) {
  const [name, rename] = useState("");
  const load = async (id) => {
    if (!id) return;
    const answer = await ask(`/api/recipes/${encodeURIComponent(id)}`);
    const before = steps;
    set(fromJson(answer.steps?.steps ?? answer.steps));
    if (before.length) tell(`The steps are those of ${id} now`, { undo: () => set(before) });
  };
  const loading = useAct(load);
  const save = async () => {
    const called = named(name, "mine").replace(/ /g, "-");
    await change("PUT", `/api/recipes/${encodeURIComponent(called)}`, { recipe: { steps: json } });
    await learnOps();
    tell(`Kept as ${called}`);
    rename("");
  };
  return html`<${Field} name="Begin with a recipe" hint=${false} setting=${{ name: "recipe", kind: "choice", default: "" }} value="" change=${loading.press}
      options=${[["", "choose"], ...recipes.value.map((one) => [one.id, title(one.id)])]} />
    <${Wrong} text=${loading.error} />
    ${json.length > 0 && html`<details class="more"><summary>Keep this recipe</summary><div class="line nowrap"><${Field} name="Name" hint=${false} setting=${{ name: "name", kind: "text", default: "" }} value=${name} change=${(value) => rename(value ?? "")} /><${Act} icon="save" label="Keep the recipe" disabled=${!name} work=${save} /></div></details>`}`;
}

/** Everything that a model made. */
async function allOf(run) {
  const found = [];
  for (let total = 1; found.length < total; ) {
    const answer = await ask(`/api/images?run=${encodeURIComponent(run)}&offset=${found.length}&limit=500`);
    total = answer.images.length ? answer.total : 0;
    found.push(...answer.images.map((one) => `image:${one.id}`));
  }
  return found;
}

function useApply(list, source, json, seed) {
  return useAct(async (scope, format) => {
    const { words } = await change("POST", "/api/recipes/check", { recipe: { steps: json } });
    const what = scope === "this" ? [source] : scope === "all" ? list : await allOf(scope);
    const to = `refined-${Date.now().toString(36)}`;
    const job = await start("refine", { source: what, with: words, to, seed: seed || undefined, format });
    const { images, result } = await done(job);
    const aside = result?.set_aside?.length ?? 0;
    tell(`${many(images?.length ?? 0, "picture")} in the gallery${aside ? `; ${many(aside, "file")} set aside` : ""}`, { seconds: 6 });
    return images;
  });
}

function Apply({ list, source, apply, able }) {
  const [scope, set] = useState("this");
  const [format, setFormat] = useState(undefined);
  const [made, show] = useState([]);
  const running = jobs.value.find((job) => job.verb === "refine" && ACTIVE.has(job.state));
  const options = [["this", "this picture"], ...(list.length > 1 ? [["all", `all ${list.length} opened`]] : []), ...(theRun.value && source.startsWith("image:") ? [[theRun.value.id, `everything ${theRun.value.name} made`]] : [])];
  const known = verb("refine")?.settings.find((one) => one.name === "format");
  return html`<${Field} name="Apply to" hint=${false} setting=${{ name: "scope", kind: "choice", default: "this" }} options=${options} value=${scope} change=${(value) => set(value ?? "this")} />
    ${known && html`<${Field} name="As" hint=${false} setting=${known} value=${format} change=${setFormat} />`}
    <div class="act wide"><${Button} primary aria-busy=${apply.busy} disabled=${!able} onClick=${async () => show((await apply.press(scope, format)) ?? [])}>Apply<//>
      ${running && html`<${Bar} done=${running.progress?.done} total=${running.progress?.total} label="Refining" />`}
      <${Wrong} text=${apply.error} /></div>
    ${made.length > 0 && html`<${Button} icon="gallery" onClick=${() => go({ room: "gallery", open: made[0] })}>Open it in the gallery<//>`}`;
}

