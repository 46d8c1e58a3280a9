// Data: the wall of a dataset's images, what an audit found, labels and captions over a selection; new datasets from what is dropped.
import { html, signal, useEffect, useState } from "../base.js";
import { Pick, arriving, bring, forgetArriving, useDrop } from "../arrive.js";
import { Act, Bar, Button, Empty, Field, More, Wrong, useAct, useKept, useName } from "../controls.js";
import { ask, at } from "../server.js";
import { ACTIVE, act, changed, choose, dataset, datasets, done, go, jobs, place, start, tell, theDataset, verb } from "../state.js";
import { useKeys } from "../shell.js";
import { Wall, fit, useChosen, usePages } from "../wall.js";
import { bytes, count, many, named, sentence, title, unused } from "../words.js";

const STARTER = { source: ["starter"], to: "starter", size: "64" };
const wanted = signal(false); // whether the files on their way are to become a dataset as soon as they are here

export function Room() {
  useDrop("Drop images, folders or archives to make a dataset", bring);
  if (arriving.value) return html`<${Arriving} />`;
  if (!datasets.value.length) return html`<${Welcome} />`;
  return html`<${Dataset} key=${dataset.value} id=${dataset.value} />`;
}

/** The job that makes a dataset just now, if there is one. */
const making = (id) => jobs.value.find((job) => job.verb === "ingest" && ACTIVE.has(job.state) && (!id || job.values?.to === id));

async function takeStarter() {
  const job = await start("ingest", STARTER);
  await done(job);
  choose({ dataset: (datasets.value.find((one) => one.name === "starter") ?? {}).id ?? "starter" });
}

function Welcome() {
  const job = making();
  return html`<section class="surface" aria-label="Images"><${Empty} heading="Make an image generator of your own"
    action=${job
      ? html`<div class="wide"><${Bar} done=${job.progress?.done} total=${job.progress?.total} label="Making the dataset" /><p>Reading images</p></div>`
      : html`<div class="line centred"><${Act} primary work=${takeStarter}>Begin with the starter photographs<//></div>
        <div class="line centred"><${Pick} quiet take=${bring}>Choose images<//><${Pick} quiet folder take=${bring}>Choose a folder<//></div>`}>
      It learns from images of one kind: drop a folder of them anywhere on this page. Nothing leaves this computer. To look around first,
      take the photographs that come along: from them to a first image of your own making takes less than five minutes.<//></section>`;
}

// Files on their way

function Arriving() {
  const now = arriving.value;
  const [values, set] = useState({});
  const [more, setMore] = useKept("ingest.more");
  const { busy, error, press } = useAct(make);
  const taken = datasets.value.map((one) => one.name);
  const name = values.to ?? unused(named(now.name, "images"), taken);
  const settings = verb("ingest")?.settings ?? [];
  const known = (one) => settings.find((setting) => setting.name === one);
  const add = values.add ? datasets.value.find((one) => one.id === values.add) : null;

  async function make() {
    const { batch } = now;
    const given = { source: [`upload:${batch}`], ...more };
    if (add) Object.assign(given, { to: add.id, add: true, size: `${add.width}x${add.height}` });
    else Object.assign(given, { to: name, size: values.size ?? "64", mode: values.mode });
    const job = await start("ingest", given);
    const { result } = await done(job);
    forgetArriving();
    const path = String(result?.dataset ?? name).split("/").at(-1);
    const made = datasets.value.find((one) => one.id === job.values?.to || one.name === path);
    if (made) choose({ dataset: made.id });
    const aside = result?.set_aside?.length ?? 0;
    tell(`${many(result?.kept ?? 0, "image")} in ${add?.name ?? name}${aside ? `; ${many(aside, "file")} set aside` : ""}`);
  }
  useEffect(() => {
    if (now.over && wanted.value && !busy) {
      wanted.value = false;
      press();
    }
  }, [now.over, wanted.value]);
  const nothing = now.over && now.arrived === 0;
  const running = making();
  return html`<section class="surface" aria-label="Images on their way">
      <div class="strip" role="status"><b>${count(now.arrived)} of ${many(now.total, "file")}</b><span class="soft">${bytes(now.bytes)}</span>
        <span class="grow"><${Bar} done=${now.arrived} total=${now.total} label="Files that have arrived" /></span></div>
      <div class="arrivals">${now.shown.map((one) => html`<img key=${one.url} src=${one.url} alt=${one.path} loading="lazy" />`)}
        ${!now.shown.length && html`<p class="soft">Archives, films and tables show their images once they are read.</p>`}</div>
      ${now.failed.length > 0 && html`<details class="unsent"><summary>${many(now.failed.length, "file")} could not be sent</summary>
        <ul>${now.failed.slice(0, 100).map((one) => html`<li key=${one.path}><b>${one.path}</b>: ${sentence(one.error)}</li>`)}</ul></details>`}
    </section>
    <aside class="column" aria-label="Settings">
      <h2>A new dataset</h2>
      ${known("to") && html`<${Field} name="Name" setting=${{ ...known("to"), help: "", form: "" }} value=${name} change=${(to) => set({ ...values, to })} />`}
      ${datasets.value.length > 0 && html`<${Field} name="Or add to" setting=${{ name: "add", kind: "choice", default: "", help: "" }}
        options=${[["", "a new dataset"], ...datasets.value.map((one) => [one.id, one.name])]} value=${values.add} change=${(one) => set({ ...values, add: one || undefined })} />`}
      ${!add && html`<${Field} name="Size" setting=${{ name: "size", kind: "text", default: "64", help: "pixels a side; larger takes longer to learn" }}
        options=${[["32", "32, quickest"], ["64", "64"], ["96", "96"], ["128", "128"], ["256", "256, for hours"]]} value=${values.size} change=${(size) => set({ ...values, size })} />`}
      ${known("labels") && html`<${Field} name="Folders are labels" setting=${known("labels")} value=${more.labels} change=${(value) => setMore("labels", value)} />`}
      ${running && html`<div><${Bar} done=${running.progress?.done} total=${running.progress?.total} label="Reading images" /></div>`}
      <div class="act wide"><${Button} primary aria-busy=${busy || wanted.value} disabled=${nothing}
          onClick=${() => (now.over ? press() : (wanted.value = !wanted.value))}>
          ${wanted.value ? "Makes it when all are here" : add ? "Add the images" : "Make the dataset"}<//>
        <${Wrong} text=${error} />
        ${nothing && html`<${Wrong} text=${now.failed[0]?.error ?? "there was nothing in it"} />`}</div>
      <${Button} quiet onClick=${() => { wanted.value = false; forgetArriving(); }}>Put the files away<//>
      <${More} groups=${[["How images are read", settings.filter((one) => !["source", "to", "size", "labels", "add", "input"].includes(one.name)), more, setMore]]} />
    </aside>`;
}

// A dataset

function Dataset({ id }) {
  const facts = theDataset.value;
  const [details, learn] = useState(null);
  const [error, fail] = useState("");
  const [label, setLabel] = useState("");
  const [find, setFind] = useState("");
  const { finding, part } = place.value;
  const version = `${facts?.digest} ${changed.datasets.value}`;
  useEffect(() => {
    const stop = new AbortController();
    ask(`/api/datasets/${encodeURIComponent(id)}`, { signal: stop.signal }).then(
      (answer) => { learn(answer); fail(""); }, (problem) => problem.name !== "AbortError" && fail(problem.message));
    return () => stop.abort();
  }, [id, version]);
  const query = new URLSearchParams(Object.entries({ label, find, part, finding }).filter(([, value]) => value));
  const pages = usePages(`/api/datasets/${encodeURIComponent(id)}/items?${query}`, version);
  const keyOf = (item) => item.index;
  const { chosen, choose: pick, none, set: setChosen } = useChosen(keyOf, pages);
  useEffect(() => none(), [label, find, finding, part]);
  useKeys({ escape: none });
  const cell = fit(facts?.width, facts?.height, 112);
  const labels = details?.conditions?.find((one) => one.kind === "label");
  return html`<section class="surface" aria-label="Images of the dataset">
      <${Findings} id=${id} details=${details} />
      <div class="strip">
        ${labels && html`<${Filter} name="Label" value=${label} options=${labels.classes.map((one) => [one, labels.counts ? `${one} (${count(labels.counts[one] ?? 0)})` : one])} change=${setLabel} />`}
        <${Filter} name="Part" value=${part ?? ""} options=${[["train", "learned from"], ["held-out", "held out"], ["aside", "set aside"]]} change=${(value) => go({ part: value || undefined }, { quietly: true })} />
        <label class="unseen" for="find-items">Find by name or caption</label>
        <input id="find-items" type="search" placeholder="Find by name or caption" value=${find} onInput=${(event) => setFind(event.target.value)} />
        ${finding && html`<${Button} icon="close" onClick=${() => go({ finding: undefined }, { quietly: true })}>${title(finding)}<//>`}
        <span class="grow"></span>
        <span class="soft" role="status">${pages.total === null ? "" : many(pages.total, "image")}${chosen.size ? `, ${count(chosen.size)} selected` : ""}</span>
        ${pages.total > 0 && html`<${SelectAll} id=${id} query=${query} total=${pages.total} chosen=${chosen} set=${setChosen} none=${none} />`}
      </div>
      <${Wrong} text=${error || pages.error} />
      ${pages.total === 0
        ? html`<${Empty} heading="Nothing matches">Take back a filter to see more.<//>`
        : html`<${Wall} pages=${pages} cell=${cell} keyOf=${keyOf} chosen=${chosen} onChoose=${pick} label="Images"
            picture=${(item) => ({ src: at.item(id, item.index), label: [item.path, item.label, item.text].filter(Boolean).join(", "), dim: item.part === "aside" })} />`}
    </section>
    <aside class="column" aria-label="What can be done">
      ${chosen.size > 0
        ? html`<${Selection} id=${id} details=${details} pages=${pages} chosen=${chosen} none=${none} />`
        : html`<${About} id=${id} facts=${facts} details=${details} />`}
    </aside>`;
}

export function Filter({ name, value, options, change }) {
  const id = useName("filter");
  return html`<label class="unseen" for=${id}>${name}</label>
    <select id=${id} value=${value} onChange=${(event) => change(event.target.value)}>
      <option value="">${name}: all</option>
      ${options.map(([key, words]) => html`<option key=${key} value=${key}>${words}</option>`)}
    </select>`;
}

function SelectAll({ id, query, total, chosen, set, none }) {
  const all = async () => {
    const found = new Set();
    for (let offset = 0; offset < total; offset += 1000) {
      const answer = await ask(`/api/datasets/${encodeURIComponent(id)}/items?${query}&offset=${offset}&limit=1000`);
      for (const item of answer.items) {
        found.add(item.index);
        paths.set(`${id} ${item.index}`, item.path);
      }
    }
    set(found);
  };
  return chosen.size ? html`<${Button} onClick=${none}>Select none<//>` : html`<${Act} work=${all}>Select all<//>`;
}

/** Paths of items that were selected without ever having been in sight. */
const paths = new Map();

const rank = (one) => ["harmful", "doubtful"].indexOf(one.severity) & 3; // what harms first, mere notes last

function Findings({ id, details }) {
  const found = (details?.findings ?? []).filter((one) => (one.total ?? one.count ?? one.items?.length) > 0 && !one.accepted).sort((a, b) => rank(a) - rank(b));
  if (!found.length) return null;
  return html`<ul class="cards" aria-label="What the audit found">${found.map((one) => html`<${Card} key=${one.check} id=${id} one=${one} />`)}</ul>`;
}

function Card({ id, one }) {
  const repair = async () => {
    const { result, summary } = await act("audit", { dataset: id, repair: true, only: [one.check], also: one.severity === "harmful" ? undefined : [one.check] });
    tell(sentence(summary) || `${count(result?.kept)} images are left`, { undo: () => act("audit", { dataset: id, undo: true }) });
    await start("audit", { dataset: id }); // what is left to do is shown at once
  };
  const name = one.title ?? title(one.check);
  return html`<li class="card">
    <div class="card-pictures">${(one.items ?? []).slice(0, 3).map((index) => html`<img key=${index} class="sharp" src=${at.item(id, index)} alt="" loading="lazy" />`)}</div>
    <h3>${name}</h3>
    <p>${sentence([one.text ?? many(one.total ?? one.items?.length ?? 0, "image"), one.effect].filter(Boolean).join("; "))}</p>
    <div class="line">
      ${one.items?.length > 0 && html`<${Button} aria-label=${`Show: ${name}`} onClick=${() => go({ finding: one.check }, { quietly: true })}>Show<//>`}
      ${one.action && html`<${Act} aria-label=${`Repair: ${name}`} work=${repair}>Repair<//>`}
    </div>
  </li>`;
}

function About({ id, facts, details }) {
  const auditing = jobs.value.find((job) => job.verb === "audit" && ACTIVE.has(job.state) && job.values?.dataset === id);
  const looked = details?.findings !== null && details?.findings !== undefined;
  const undo = async () => {
    const { summary } = await act("remove", { dataset: id, undo: true });
    tell(sentence(summary));
  };
  return html`<div><h2>${facts?.name}</h2>
      <p class="soft">${facts && `${many(details?.in_use ?? facts.images, "image")} of ${facts.width} × ${facts.height} pixels, ${facts.mode}`}${details?.held_out ? `; ${count(details.held_out)} held out for honest measures` : ""}${details?.aside ? `; ${count(details.aside)} set aside` : ""}.</p></div>
    ${details?.conditions?.length > 0 && html`<dl class="facts">${details.conditions.map((one) => html`<div key=${one.name}><dt>${title(one.name)}</dt>
      <dd>${one.classes ? many(one.classes.length, "kind") : one.kind}${one.missing ? `, ${count(one.missing)} without` : ""}</dd></div>`)}</dl>`}
    <${Act} primary=${!looked} disabled=${Boolean(auditing)} work=${() => start("audit", { dataset: id })}>${looked ? "Look for problems again" : "Look for problems"}<//>
    ${auditing && html`<${Bar} done=${auditing.progress?.done} total=${auditing.progress?.total} label="Looking for problems" />`}
    ${looked && !details.findings.some((one) => !one.accepted && (one.count ?? one.items?.length)) && html`<p class="soft">The last audit found nothing that would hurt a model.</p>`}
    <${Button} primary=${looked} onClick=${() => go({ room: "train", dataset: id })}>Train a model on it<//>
    <hr />
    <p class="soft">Press images to select them: then they can be labelled, captioned or set aside.</p>
    <${Pick} quiet take=${bring}>Add images<//>
    <${Pick} quiet folder take=${bring}>Add a folder<//>
    ${details?.edition > 1 && html`<${Act} quiet icon="undo" work=${undo}>Take back the last change<//>`}`;
}

function Selection({ id, details, pages, chosen, none }) {
  const [values, set] = useState({});
  const kinds = (details?.conditions ?? []).filter((one) => ["label", "text", "number"].includes(one.kind));
  const fields = kinds.some((one) => one.kind === "label") ? kinds : [{ name: "label", kind: "label", classes: [] }, ...kinds];
  const caption = fields.some((one) => one.kind === "text") ? [] : [{ name: "text", kind: "text" }];
  const names = () => {
    const byIndex = new Map();
    for (let k = 0; k < (pages.total ?? 0); k += 1) if (pages.item(k)) byIndex.set(pages.item(k).index, pages.item(k).path);
    return [...chosen].map((index) => byIndex.get(index) ?? paths.get(`${id} ${index}`)).filter(Boolean);
  };
  const undo = () => act("remove", { dataset: id, undo: true });
  const save = async (field) => {
    const { summary } = await act("label", { dataset: id, images: names(), as: values[field.name] ?? "", name: field.name, kind: field.kind });
    tell(sentence(summary) || "Written down", { undo });
    set({ ...values, [field.name]: undefined });
  };
  const aside = async (back) => {
    const { summary } = await act("remove", { dataset: id, images: names(), back: back || undefined });
    none();
    tell(sentence(summary), { undo });
  };
  return html`<h2>${many(chosen.size, "image")} selected</h2>
    ${[...fields, ...caption].map((field) => html`<${Write} key=${field.name} field=${field} value=${values[field.name]} change=${(value) => set({ ...values, [field.name]: value })} save=${() => save(field)} />`)}
    <hr />
    ${place.value.part === "aside"
      ? html`<${Act} icon="undo" work=${() => aside(true)}>Bring back<//>`
      : html`<${Act} icon="trash" work=${() => aside(false)}>Set aside<//><p class="soft">Nothing is deleted: what is set aside is no longer learned from, and can be brought back.</p>`}
    <${Button} quiet onClick=${none}>Select none<//>`;
}

function Write({ field, value, change, save }) {
  const id = useName("write");
  const { busy, error, press } = useAct(save);
  const name = field.kind === "text" ? "Caption" : title(field.name);
  return html`<form class="field" onSubmit=${(event) => { event.preventDefault(); press(); }}>
    <span class="field-head"><label for=${id}>${name}</label></span>
    <div class="line nowrap">
      <input id=${id} type=${field.kind === "number" ? "number" : "text"} step="any" list=${field.classes?.length ? `${id}-list` : undefined} value=${value ?? ""} onInput=${(event) => change(event.target.value)} />
      <button class="button" aria-busy=${busy} disabled=${value === undefined}>Write</button></div>
    ${field.classes?.length > 0 && html`<datalist id=${`${id}-list`}>${field.classes.map((one) => html`<option key=${one} value=${one} />`)}</datalist>`}
    <${Wrong} text=${error} />
  </form>`;
}
