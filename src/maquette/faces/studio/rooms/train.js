// Train: two questions and a promise, then the sheet that grows, its curves and what the training says.
import { html, useEffect, useRef, useState } from "../base.js";
import { bring, useDrop } from "../arrive.js";
import { Act, Bar, Button, Choices, Empty, Field, More, Wrong, useAct, useKept } from "../controls.js";
import { ask, at, away } from "../server.js";
import { changed, choose, dataset, datasets, families, family, go, jobs, learnFamilies, pause, place, refresh, run, runs, start, stop, tell, theDataset, theRun, trains, verb } from "../state.js";
import { Plot } from "../plot.js";
import { left, many, named, number, sentence, share, title, unused } from "../words.js";

export function Room() {
  useDrop("Drop images to make a dataset", (files) => {
    go({ room: "data" });
    bring(files);
  });
  if (!datasets.value.length) {
    return html`<section class="surface" aria-label="Training"><${Empty} heading="Models are trained here"
      action=${html`<${Button} primary onClick=${() => go({ room: "data" })}>Bring images first<//>`}>
      A model learns from a dataset of your images. There is none yet.<//></section>`;
  }
  const fresh = place.value.open === "new" || !run.value;
  return fresh ? html`<${New} />` : html`<${Watch} key=${run.value} id=${run.value} />`;
}

const TIMES = [["2m", "2 min"], ["10m", "10 min"], ["1h", "1 hour"], ["8h", "a night"]];

/** What the families that come along are for, in the order in which people want them; others are shown by their names. */
const KINDS = {
  flow: "Varied images of any kind", gan: "Crisp images, made at once", texture: "A material without end", recurrent: "Images from words, piece by piece",
  translate: "Images from images", forecast: "What comes next", autoencoder: "Images restored",
};
const LOOKING = { segment: "What the subject is", classify: "Which label an image has", likeness: "What images are like", oracle: "The known answer, for checking" };

/** Families that make images, and those that are for looking and checking. */
function kinds() {
  const order = [...Object.keys(KINDS), ...Object.keys(LOOKING)];
  const place = (one) => (order.includes(one.name) ? order.indexOf(one.name) : 7.5);
  const all = [...(families.value ?? [])].sort((a, b) => place(a) - place(b));
  const makes = (one) => one.powers.includes("samples") && !(one.name in LOOKING);
  const option = (one) => [one.name, KINDS[one.name] ?? LOOKING[one.name] ?? title(one.name), one.summary, one.name];
  return { first: all.filter(makes).map(option), others: all.filter((one) => !makes(one)).map(option) };
}

function New() {
  const [unknown, fail] = useState("");
  useEffect(() => {
    if (!away.value) learnFamilies().then(() => fail(""), (problem) => fail(problem.message));
  }, [away.value]);
  const [values, set] = useKept("train", { family: "flow", time: "2m" });
  const [own, setOwn] = useKept(`train.${values.family}`);
  const [to, setTo] = useState(undefined);
  const { busy, error, press } = useAct(begin);
  const settings = verb("train")?.settings ?? [];
  const known = (name) => settings.find((one) => one.name === name);
  const data = theDataset.value;
  const { first, others } = kinds();
  const chosen = family(values.family);
  const name = to ?? unused(`${named(data?.name ?? "", "model")}-${values.family}`, (runs.value ?? []).map((one) => one.name));

  async function begin() {
    const { scale, ...rest } = values;
    const changes = Object.entries(own).map(([key, value]) => `${key}=${value}`);
    const set_ = changes.length || rest.set?.length ? [...(rest.set ?? []), ...changes] : undefined;
    const job = await start("train", { ...rest, scale, dataset: dataset.value, to: name, set: set_ });
    setTo(undefined);
    choose({ run: job.run ?? name });
    go({ open: undefined });
  }
  const main = ["dataset", "to", "family", "time", "set"];
  const extra = settings.filter((one) => !main.includes(one.name));
  return html`<section class="surface scrolls" aria-label="Kinds of models">
      <div class="questions">
        <h2>What kind of images?</h2>
        <${Wrong} text=${unknown} />
        <${Choices} legend="Kinds of models" options=${first} value=${values.family} change=${(value) => set("family", value)} />
        ${others.length > 0 && html`<details class="more"><summary>Models that look, and one for checking</summary>
          <${Choices} legend="For refining and judging" options=${others} value=${values.family} change=${(value) => set("family", value)} /></details>`}
      </div>
    </section>
    <aside class="column" aria-label="How long">
      <h2>How long?</h2>
      <${Choices} rows legend="Time for training" options=${TIMES} value=${values.time} change=${(value) => set("time", value)} />
      ${known("time") && html`<${Field} name="Or so long" setting=${{ ...known("time"), help: "such as 90s, 25m or 1h30m" }} value=${values.time} change=${(value) => set("time", value)} />`}
      ${known("to") && html`<${Field} name="Name of the model" setting=${{ ...known("to"), help: "", form: "" }} value=${name} change=${setTo} />`}
      <p class="soft">Learns from ${data?.name}${data ? ` (${many(data.images, "image")})` : ""}. The first minute measures this computer; then it says how many images it will see and what to expect. It can be paused, stopped and continued at any time.</p>
      <div class="act wide"><${Button} primary aria-busy=${busy} onClick=${press}>Train<//><${Wrong} text=${error} /></div>
      ${theRun.value && html`<${Button} quiet onClick=${() => go({ open: undefined })}>Back to ${theRun.value.name}<//>`}
      <${More} groups=${[["Training", extra, values, set], [`The kind ${values.family}`, chosen?.settings ?? [], own, setOwn]]} />
    </aside>`;
}

// A run, learning or learned

/** What the server says of a run, read again while it learns. */
export function useRun(id, pace) {
  const [facts, set] = useState(null);
  const [error, fail] = useState("");
  useEffect(() => {
    if (!id || pace === null) return undefined;
    const halt = new AbortController();
    ask(`/api/runs/${encodeURIComponent(id)}`, { signal: halt.signal }).then(
      (answer) => { set(answer); fail(""); }, (problem) => problem.name !== "AbortError" && fail(problem.message));
    return () => halt.abort();
  }, [id, pace]);
  return { facts: facts?.id === id ? facts : null, error };
}

function useSheets(id, pace) {
  const [sheets, set] = useState([]);
  useEffect(() => {
    if (pace === null) return undefined;
    const halt = new AbortController();
    ask(`/api/runs/${encodeURIComponent(id)}/sheets`, { signal: halt.signal }).then((answer) => set(answer.items ?? answer), () => {});
    return () => halt.abort();
  }, [id, pace]);
  return sheets;
}

const STATES = { running: "learning now", finished: "finished", settled: "finished, because it no longer improved", paused: "paused", interrupted: "stopped", terminated: "stopped", "not finished": "not finished" };

function Watch({ id }) {
  const job = trains(id);
  const [tick, beat] = useState(0);
  useEffect(() => {
    if (!job) return undefined;
    const timer = setInterval(() => {
      beat((n) => n + 1);
      if (!runs.value.some((one) => one.id === id)) refresh(["runs"]);
    }, 4000);
    return () => clearInterval(timer);
  }, [Boolean(job)]);
  const there = runs.value.find((one) => one.id === id);
  const name = there?.name ?? id;
  const pace = there ? `${tick} ${changed.runs.value} ${job?.state}` : null; // its folder comes when the machine was measured
  const { facts, error } = useRun(id, pace);
  const sheets = useSheets(id, pace);
  const [beside, setBeside] = useState([]);
  const [moment, look] = useState(null);
  const others = (runs.value ?? []).filter((one) => one.id !== id && one.dataset === theRun.value?.dataset);
  const held = sheets.length ? (moment === null ? sheets.at(-1) : nearest(sheets, moment)) : null;
  const last = jobs.value.find((one) => one.verb === "train" && (one.run === id || one.values?.to === id));
  return html`<section class="surface scrolls" aria-label="What it makes">
      <${Wrong} text=${error} />
      <div class="sheets">
        ${held ? html`<figure><img class="sharp" src=${at.sheet(id, held.file)} alt=${`What ${name} made after ${many(held.images, "image")} seen`} />
            <figcaption>${beside.length > 0 && html`<b>${name}</b>, `}after ${many(held.images, "image")} seen</figcaption></figure>`
          : html`<div class="empty"><h2>${job ? "It has begun" : "Nothing was made yet"}</h2><p>${job ? (job.state === "queued" ? "It waits for its turn." : "The first sheet of images appears here in a moment.") : "This model has no sheet of images."}</p>
            ${job && html`<${Bar} done=${job.progress?.done} total=${job.progress?.total} label="Training" />`}</div>`}
        ${beside.map((other) => html`<${Beside} key=${other} id=${other} moment=${moment} />`)}
      </div>
      ${sheets.length > 1 && html`<div class="timeline"><label for="moment" class="unseen">Moment</label>
        <input id="moment" type="range" min="0" max=${sheets.length - 1} value=${sheets.indexOf(held)} aria-valuetext=${held ? `after ${many(held.images, "image")} seen` : ""}
          onInput=${(event) => { const k = Number(event.target.value); look(k === sheets.length - 1 ? null : sheets[k].images); }} /></div>`}
      <${Curves} id=${id} facts=${facts} pace=${pace} beside=${beside} hover=${look} />
    </section>
    <aside class="column" aria-label="Training">
      <div><h2>${name}</h2>
        <p class="soft">${sentence([title(theRun.value?.family ?? ""), facts?.scale, `${many(job?.progress?.done ?? facts?.images_seen ?? theRun.value?.images_seen ?? 0, "image")} seen`, job ? "" : STATES[theRun.value?.state] ?? theRun.value?.state].filter(Boolean).join(", "))}</p></div>
      ${job && html`<div><${Bar} done=${job.progress?.done} total=${job.progress?.total} label="Training" /><p class="soft" role="status">${job.state === "queued" ? "Waiting for its turn" : sentence(left(job.progress?.eta)) || "Measuring this computer"}</p></div>`}
      ${facts?.promise && html`<p class="promise">${sentence(facts.promise)}</p>`}
      ${job
        ? html`<div class="line"><${Act} icon="pause" work=${() => pause(job)}>Pause<//><${Act} icon="stop" work=${() => stop(job)}>Stop<//></div>`
        : html`<${Next} id=${id} facts=${facts} last=${last} />`}
      <${Act} quiet icon="plus" work=${async () => go({ open: "new" })}>Train another model<//>
      ${others.length > 0 && html`<fieldset class="ticks"><legend>Compare with</legend>${others.slice(0, 12).map((one) => html`<label key=${one.id}>
        <input type="checkbox" checked=${beside.includes(one.id)} onChange=${(event) => setBeside(event.target.checked ? [...beside, one.id].slice(-3) : beside.filter((other) => other !== one.id))} />${one.name}</label>`)}</fieldset>`}
      ${last?.error && last.state === "failed" && html`<${Wrong} text=${last.error} />`}
      <${Log} job=${last} />
    </aside>`;
}

const nearest = (sheets, moment) => sheets.reduce((best, one) => (Math.abs(one.images - moment) < Math.abs(best.images - moment) ? one : best));

function Next({ id, facts, last }) {
  const again = async () => {
    await start("train", { ...(last?.values ?? {}), dataset: last?.values?.dataset ?? facts?.dataset, to: id, family: facts?.family });
    tell("It goes on where it was");
  };
  const [longer, set] = useState("10m");
  const more = () => start("train", { ...(last?.values ?? {}), dataset: last?.values?.dataset ?? facts?.dataset, to: id, family: facts?.family, time: longer, images: undefined });
  const over = ["finished", "settled"].includes(theRun.value?.state);
  return html`${theRun.value?.makes && html`<${Button} primary onClick=${() => go({ room: "make" })}>Make images<//>`}
    ${over
      ? html`<details class="more"><summary>Go on learning</summary><${Field} name="Time in all" setting=${{ name: "time", kind: "text", default: "10m", help: "counted from its beginning, so more than it has had" }} value=${longer} change=${set} />
          <div><${Act} icon="play" work=${more}>Continue<//></div></details>`
      : html`<${Act} icon="play" work=${again}>Continue<//>`}
    ${theRun.value?.makes && html`<${Button} quiet onClick=${() => go({ room: "judge" })}>Judge it<//>`}`;
}

/** Another run's sheet at the same moment. */
function Beside({ id, moment }) {
  const sheets = useSheets(id, "");
  if (!sheets.length) return null;
  const held = moment === null ? sheets.at(-1) : nearest(sheets, moment);
  const name = runs.value.find((one) => one.id === id)?.name ?? id;
  return html`<figure><img class="sharp" src=${at.sheet(id, held.file)} alt=${`What ${name} made after ${many(held.images, "image")} seen`} /><figcaption><b>${name}</b>, after ${many(held.images, "image")} seen</figcaption></figure>`;
}

/** The log of a run as one grows: only what is new is asked for. */
function useLog(id, pace) {
  const held = useRef({ id: null, next: 0, records: [] });
  const [, redraw] = useState(0);
  useEffect(() => {
    if (pace === null) return undefined;
    let alive = true;
    if (held.current.id !== id) held.current = { id, next: 0, records: [] };
    ask(`/api/runs/${encodeURIComponent(id)}/log?since=${held.current.next}`).then((answer) => {
      if (!alive || held.current.id !== id) return;
      held.current = { id, next: answer.next, records: [...held.current.records, ...answer.records] };
      redraw((n) => n + 1);
    }, () => {});
    return () => (alive = false);
  }, [id, pace]);
  return held.current.id === id ? held.current.records : [];
}

const judgedLine = (name, judged) => ({
  name, x: judged.map((one) => one.images), y: judged.map((one) => one.value), low: judged.map((one) => one.low), high: judged.map((one) => one.high),
});

function Curves({ id, facts, pace, beside, hover }) {
  const records = useLog(id, pace);
  const [other, set] = useState({});
  useEffect(() => {
    for (const one of beside) {
      if (!other[one]) ask(`/api/runs/${encodeURIComponent(one)}`).then((answer) => set((now) => ({ ...now, [one]: answer })), () => {});
    }
  }, [beside.join()]);
  const judged = facts?.judged ?? [];
  const lines = [judgedLine(facts?.name ?? "", judged), ...beside.filter((one) => other[one]?.judged?.length).map((one) => judgedLine(other[one].name, other[one].judged))];
  const newest = judged.at(-1);
  const thin = records.length > 400 ? records.filter((_, k) => k % Math.ceil(records.length / 400) === 0) : records;
  const names = Object.keys(records.at(-1) ?? {}).filter((name) => !["images", "seconds", "time", "step", "progress", "images/s", "rate"].includes(name) && Number.isFinite(records.at(-1)[name]));
  const main = names.find((name) => name === "loss") ?? names.find((name) => /loss|error/.test(name)) ?? names[0];
  if (!judged.length && thin.length < 2) return null;
  return html`<div class="curves">
    ${judged.length > 1 && html`<${Plot} title="Distance to real images" lines=${lines} hover=${hover} floor=${Number.isFinite(facts?.floor) ? { value: facts.floor, name: "real" } : undefined}
      words=${newest ? `${number(newest.value)} now, between ${number(newest.low)} and ${number(newest.high)}; lower is better` : ""} />`}
    ${judged.length > 1 && html`<${Plot} title="Variety" hover=${hover} lines=${[{ name: facts?.name ?? "", x: judged.map((one) => one.images), y: judged.map((one) => one.variety) }, ...beside.filter((one) => other[one]?.judged?.length).map((one) => ({ name: other[one].name, x: other[one].judged.map((p) => p.images), y: other[one].judged.map((p) => p.variety) }))]}
      floor=${{ value: 1, name: "real" }} words=${newest ? `${share(newest.variety)} of what real images show` : ""} />`}
    ${judged.length < 2 && main && thin.length > 1 && html`<${Plot} title=${title(main)} lines=${[{ name: "now", x: thin.map((one) => one.images), y: thin.map((one) => one[main]) }]} hover=${hover} words="while it learns" />`}
  </div>`;
}

/** What the training said, newest at the end. */
function Log({ job }) {
  const notes = job?.notes ?? [];
  const end = useRef(null);
  useEffect(() => {
    if (end.current) end.current.scrollTop = end.current.scrollHeight;
  }, [notes.length]);
  if (!notes.length) return null;
  return html`<section aria-label="What the training says"><h3>What it says</h3>
    <div class="log" ref=${end} tabindex="0" role="log" aria-label="Newest at the end"><ol>${notes.map((note, k) => html`<li key=${k} class=${note.kind}>${sentence(note.text)}</li>`)}</ol></div></section>`;
}
