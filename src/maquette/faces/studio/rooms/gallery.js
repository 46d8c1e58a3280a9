// Gallery: everything that was made, newest first, by facts; one panel with an image's history and marks; any file verified by dropping it.
import { html, signal, useEffect, useState } from "../base.js";
import { Pick, hand, useDrop } from "../arrive.js";
import { Bar, Button, Empty, Wrong, useAct } from "../controls.js";
import { Icon } from "../icons.js";
import { ask, at, change } from "../server.js";
import { useKeys } from "../shell.js";
import { act, changed, go, place, runs, tell } from "../state.js";
import { Divided, Stage } from "../view.js";
import { Wall, fit, useChosen, usePages } from "../wall.js";
import { bytes, count, many, sentence, title, when } from "../words.js";
import { Filter } from "./data.js";

/** Images that are about to be deleted, until it can no longer be taken back. */
const gone = signal(new Set());
/** What was last verified: [{name, report, error?}], or null. */
const verified = signal(null);


function useChecking() {
  return useAct(async (files) => {
    const names = await hand(files.slice(0, 200));
    const { result } = await act("verify", { file: names });
    verified.value = (result?.images ?? []).map((report) => ({ name: String(report.path).split("/").at(-1), report }));
    go({ open: "verified" });
  });
}

export function Room() {
  const checking = useChecking();
  useDrop("Drop files to see where they come from", checking.press);
  const { open, view } = place.value;
  const [filters, set] = useState({});
  const query = new URLSearchParams(Object.entries(filters).filter(([, value]) => value));
  const pages = usePages(`/api/images?${query}`, changed.images.value);
  const keyOf = (item) => item.id;
  const picks = useChosen(keyOf, pages);
  useKeys({ escape: () => (open ? go({ open: undefined, view: undefined }) : picks.none()), s: () => tell("Everything here is kept already") });
  if (view === "compare") {
    const [one, two] = String(open).split(",");
    return html`<section class="surface" aria-label="Two images"><div class="strip"><${Button} icon="close" onClick=${() => go({ view: undefined, open: undefined })}>Back to the gallery<//></div>
      <${Divided} before=${at.image(one)} after=${at.image(two)} names=${["one", "other"]} /></section>`;
  }
  if (open === "verified" && verified.value) return html`<${Verified} />`;
  if (open && open !== "verified") return html`<${One} key=${open} id=${open} pages=${pages} />`;
  const facets = pages.extra?.facets ?? {};
  const none = pages.total === 0 && ![...query].length;
  const compare = (item) => {
    if (picks.chosen.size === 1 && !picks.chosen.has(item.id)) go({ view: "compare", open: `${[...picks.chosen][0]},${item.id}` });
    else picks.choose(item, 0, {});
  };
  return html`<section class="surface" aria-label="Everything made">
      <div class="strip"><${Facets} facets=${facets} filters=${filters} set=${set} />
        <span class="grow"></span><span class="soft" role="status">${pages.total === null ? "" : many(pages.total, "image")}${picks.chosen.size ? `, ${picks.chosen.size} selected` : ""}</span></div>
      <${Wrong} text=${pages.error} />
      ${none
        ? html`<${Empty} heading="Nothing was made yet" action=${html`<${Button} primary onClick=${() => go({ room: runs.value?.length ? "make" : "data" })}>${runs.value?.length ? "Make images" : "Bring images first"}<//>`}>
            All images that you make are kept here with their whole history. Drop any file on this page to see where it comes from.<//>`
        : pages.total === 0 ? html`<${Empty} heading="Nothing matches">Take back a filter to see more.<//>`
        : html`<${Wall} pages=${pages} cell=${fit(64, 64, 144)} keyOf=${keyOf} chosen=${picks.chosen} label="Everything made"
            picture=${(item) => ({ src: at.image(item.id, 128), label: [item.file, runName(item.run), ...values(item.conditions)].filter(Boolean).join(", "), dim: gone.value.has(item.id), badge: item.kind === "film" ? "film" : "" })}
            onOpen=${(item) => go({ open: item.id })} onChoose=${picks.choose} onSpace=${compare} />`}
    </section>
    <aside class="column" aria-label="What can be done">
      ${picks.chosen.size > 0
        ? html`<h2>${many(picks.chosen.size, "image")} selected</h2>
          ${picks.chosen.size === 2 && html`<${Button} icon="compare" onClick=${() => go({ view: "compare", open: [...picks.chosen].join() })}>Compare<//>`}
          <${Button} onClick=${() => go({ room: "refine", open: [...picks.chosen].join() })}>Refine<//>
          <${Button} icon="save" onClick=${() => download([...picks.chosen])}>Save as files<//>
          <${Button} icon="trash" onClick=${() => { remove([...picks.chosen]); picks.none(); }}>Delete<//>
          <${Button} quiet onClick=${picks.none}>Select none<//>`
        : html`<h2>Everything made</h2><p class="soft">Open an image to see its history. Hold Ctrl or Shift, or press Space, to select several.</p>`}
      <hr />
      <div class="zone"><${Icon} name="check" /><b>Where does a file come from?</b><span class="soft">Drop any image here, made by whatever program.</span>
        <${Pick} accept="image/*,video/*" take=${checking.press} aria-busy=${checking.busy}>Choose files<//><${Wrong} text=${checking.error} /></div>
    </aside>`;
}

const values = (conditions) => Object.values(conditions ?? {}).filter((one) => ["string", "number"].includes(typeof one));
const runName = (id) => runs.value?.find((one) => one.id === id)?.name ?? (id ? String(id).split("/").at(-1) : "");

function Facets({ facets, filters, set }) {
  const name = (key, value) => (key === "run" ? runName(value) : String(value).split("/").at(-1));
  const options = (key) => (facets[key] ?? []).filter(([value]) => value !== null && value !== "").map(([value, n]) => [String(value), `${name(key, value)} (${count(n)})`]);
  const shown = [["run", "Model"], ["label", "Label"], ["recipe", "Recipe"], ["day", "Day"]].map(([key, words]) => [key, words, options(key)]);
  return html`${shown.filter(([, , list]) => list.length).map(([key, words, list]) => html`<${Filter} key=${key} name=${words} value=${filters[key] ?? ""} options=${list} change=${(value) => set({ ...filters, [key]: value })} />`)}
    <label class="unseen" for="find-images">Find</label><input id="find-images" type="search" placeholder="Find" value=${filters.find ?? ""} onInput=${(event) => set({ ...filters, find: event.target.value })} />`;
}

/** Save several files, one after the other, as the browser does it. */
function download(ids) {
  ids.slice(0, 100).forEach((id, k) => setTimeout(() => {
    const link = document.createElement("a");
    link.href = at.file(id);
    link.download = "";
    link.click();
  }, k * 150));
  if (ids.length > 100) tell(`The first 100 of ${count(ids.length)}`);
}

/** Delete after a while in which it can be taken back; closing the page before that keeps the images. */
function remove(ids) {
  gone.value = new Set([...gone.value, ...ids]);
  const forget = () => (gone.value = new Set([...gone.value].filter((id) => !ids.includes(id))));
  tell(`${many(ids.length, "image")} deleted`, {
    undo: forget,
    after: async () => {
      try {
        for (const id of ids) await change("DELETE", `/api/images/${encodeURIComponent(id)}`);
      } catch (error) {
        tell(sentence(error.message));
      }
      changed.images.value += 1;
      forget();
    },
  });
}

const STATUS = {
  intact: "Signed, and whole", changed: "Changed since it was signed", unsigned: "Not signed", "unknown-signer": "Signed by somebody unknown here", expired: "The signature has expired", revoked: "The key was revoked", unreadable: "Cannot be read",
};

/** What the marks of a file say. */
export function Marks({ report }) {
  if (!report) return null;
  return html`<section class="marks" aria-label="Marks"><p class=${`status ${report.status}`}><${Icon} name=${report.status === "intact" ? "check" : "warn"} size=${16} /><b>${STATUS[report.status] ?? title(report.status)}</b></p>
    ${report.words && html`<p class="soft">${sentence(report.words)}</p>`}
    <dl class="facts">${Object.entries(report.layers ?? {}).map(([name, state]) => html`<div key=${name}><dt>${title(name)}</dt><dd>${state}</dd></div>`)}</dl></section>`;
}

/** Facts of a manifest as rows: only what is one value. */
function rows(thing, above = "") {
  return Object.entries(thing ?? {}).flatMap(([key, value]) => {
    if (value === null || value === undefined || value === "") return [];
    const name = above ? `${above}, ${key.replace(/[_-]/g, " ")}` : title(key);
    if (Array.isArray(value)) return value.every((one) => typeof one !== "object") ? [[name, value.join(", ")]] : [];
    if (typeof value === "object") return above.includes(",") ? [] : rows(value, name);
    return [[name, String(value)]];
  });
}

function One({ id, pages }) {
  const [facts, learn] = useState(null);
  const [error, fail] = useState("");
  useEffect(() => {
    let alive = true;
    ask(`/api/images/${encodeURIComponent(id)}`).then((answer) => alive && learn(answer), (problem) => alive && fail(problem.message));
    return () => (alive = false);
  }, [id]);
  let index = -1;
  for (let k = 0; k < (pages.total ?? 0); k += 1) if (pages.item(k)?.id === id) index = k;
  const step = (by) => {
    const next = pages.item(index + by);
    if (next) go({ open: next.id }, { quietly: true });
  };
  useKeys({ arrowleft: () => step(-1), arrowright: () => step(1), escape: () => go({ open: undefined }), s: () => download([id]), space: () => pages.item(index + 1) && go({ view: "compare", open: `${id},${pages.item(index + 1).id}` }) }, 1);
  const film = facts && /\.(mp4|webm)$/i.test(facts.file ?? "");
  return html`<section class="surface" aria-label="Image">
      ${error ? html`<${Empty} heading="It is not there any more" action=${html`<${Button} primary onClick=${() => go({ open: undefined })}>Back to the gallery<//>`}>${sentence(error)}<//>`
        : film ? html`<div class="stage"><video src=${at.file(id)} controls loop autoplay muted></video></div>`
        : html`<${Stage} src=${facts?.kind === "film" ? at.file(id) : at.image(id)} alt=${facts?.file ?? "The image"} />`}
    </section>
    <aside class="column" aria-label="History">
      <div class="line nowrap"><h2 class="grow">${facts?.file ?? ""}</h2><${Button} quiet icon="close" label="Back to the gallery" onClick=${() => go({ open: undefined })} /></div>
      <p class="soft">${facts && [facts.width && `${facts.width} × ${facts.height} pixels`, facts.bytes && bytes(facts.bytes), when(facts.created)].filter(Boolean).join(", ")}</p>
      <dl class="facts">${facts && [["Model", runName(facts.run)], ["Seed", facts.seed], ...Object.entries(facts.conditions ?? {}).filter(([, value]) => typeof value !== "object").map(([key, value]) => [title(key), value]), ["Recipe", facts.recipe]].filter(([, value]) => value !== null && value !== undefined && value !== "").map(([key, value]) => html`<div key=${key}><dt>${key}</dt><dd>${String(value)}</dd></div>`)}</dl>
      ${facts && !facts.report && html`<${Bar} label="Looking at its marks" />`}
      <${Marks} report=${facts?.report} />
      <${Button} primary onClick=${() => go({ room: "refine", open: id })}>Refine<//>
      <div class="line"><a class="button" href=${at.file(id)} download=${facts?.file ?? ""}>Save as<//>
        <${Button} icon="trash" onClick=${() => { remove([id]); go({ open: undefined }); }}>Delete<//></div>
      ${facts?.report?.manifest && html`<details class="more"><summary>The whole history</summary><dl class="facts long">${rows(facts.report.manifest).map(([key, value]) => html`<div key=${key}><dt>${key}</dt><dd>${value}</dd></div>`)}</dl></details>`}
    </aside>`;
}

function Verified() {
  const [shown, show] = useState(0);
  const list = verified.value;
  const one = list[Math.min(shown, list.length - 1)];
  useKeys({ escape: () => go({ open: undefined }), arrowdown: () => show(Math.min(list.length - 1, shown + 1)), arrowup: () => show(Math.max(0, shown - 1)) }, 1);
  return html`<section class="surface scrolls" aria-label="Files that were looked at"><div class="strip"><${Button} icon="close" onClick=${() => go({ open: undefined })}>Back to the gallery<//><span class="soft">${many(list.length, "file")}</span></div>
      <ul class="verdicts">${list.map((each, k) => html`<li key=${k}><button type="button" aria-pressed=${each === one} onClick=${() => show(k)}><b>${each.name}</b><span>${STATUS[each.report.status] ?? title(each.report.status)}</span></button></li>`)}</ul></section>
    <aside class="column" aria-label="What its marks say"><h2>${one?.name}</h2><${Marks} report=${one?.report} />
      ${one?.report.made_by && html`<dl class="facts"><div><dt>Made by</dt><dd>${String(one.report.made_by?.name ?? one.report.made_by)}</dd></div></dl>`}
      ${one?.report.manifest && html`<details class="more" open><summary>Its history</summary><dl class="facts long">${rows(one.report.manifest).map(([key, value]) => html`<div key=${key}><dt>${key}</dt><dd>${value}</dd></div>`)}</dl></details>`}</aside>`;
}
