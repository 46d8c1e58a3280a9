// What stands around the rooms: the bar, the switchers, the tray of jobs, the line that says what was done, the help.
import { classes, html, signal, useEffect, useRef, useState } from "./base.js";
import { dropping, hovering } from "./arrive.js";
import { Act, Bar, Button, useName } from "./controls.js";
import { Icon } from "./icons.js";
import { away, locked, updated } from "./server.js";
import { ACTIVE, ROOMS, choose, dataset, datasets, dismiss, dismissed, finish, go, jobs, pause, place, run, runs, stop, takeBack, toast, trouble } from "./state.js";
import { count, doing, left, sentence, title } from "./words.js";

/** Whether the list of keys is open. */
export const helping = signal(false);

export function Rail() {
  return html`<nav class="rail" aria-label="Rooms">
    ${ROOMS.map((room, k) => html`<a key=${room} href=${`#/${room}`} aria-current=${place.value.room === room ? "page" : undefined}
      title=${`${title(room)} (${k + 1})`}
      onClick=${(event) => {
        event.preventDefault();
        go({ room });
      }}><${Icon} name=${room} /><span>${title(room)}</span></a>`)}
    <button type="button" class="rail-help" title="Keys (?)" aria-label="Keys" onClick=${() => (helping.value = true)}><${Icon} name="help" /></button>
  </nav>`;
}

function Switch({ label, list, value, none, pick }) {
  const id = useName("switch");
  return html`<div class="switcher">
    <label for=${id}>${label}</label>
    ${list?.length
      ? html`<select id=${id} value=${value ?? ""} onChange=${(event) => pick(event.target.value)}>
          ${list.map((one) => html`<option key=${one.id} value=${one.id}>${one.name}</option>`)}
        </select>`
      : html`<output id=${id} class="soft">${list ? none : "..."}</output>`}
  </div>`;
}

export function Top() {
  const { room } = place.value;
  const heading = useRef(null);
  const first = useRef(true);
  useEffect(() => {
    document.title = `${title(room)}, Maquette`;
    if (!first.current) heading.current?.focus({ preventScroll: true });
    first.current = false;
  }, [room]);
  return html`<header class="top">
    <h1 ref=${heading} tabindex="-1">${title(room)}</h1>
    <${Switch} label="Dataset" list=${datasets.value} value=${dataset.value} none="none yet" pick=${(id) => choose({ dataset: id })} />
    <${Switch} label="Model" list=${runs.value} value=${run.value} none="none yet" pick=${(id) => choose({ run: id })} />
  </header>`;
}

/** Lines that concern the page as a whole. */
export function Banner() {
  if (locked.value) {
    return html`<div class="banner" role="alert">This page's key is no longer valid. Open the address that <code>maquette studio</code> printed; nothing is lost.</div>`;
  }
  if (updated.value) {
    return html`<div class="banner" role="alert">Maquette was updated since this page was opened.
      <${Button} onClick=${() => location.reload()}>Reload<//></div>`;
  }
  if (away.value) {
    return html`<div class="banner" role="status">The studio's server does not answer. Work that was begun goes on by itself; this page comes back as soon as <code>maquette studio</code> runs again.</div>`;
  }
  return trouble.value ? html`<div class="banner" role="alert">${sentence(trouble.value)}</div>` : null;
}

/** What a job is about, for its line in the tray. */
function about(job) {
  const { values = {} } = job;
  const name = job.run ?? values.run ?? values.to ?? values.dataset ?? values.what ?? "";
  return String(Array.isArray(name) ? name.join(", ") : name).split("/").at(-1);
}

function Job({ job }) {
  const progress = job.progress ?? {};
  const running = ACTIVE.has(job.state);
  const words = job.state === "queued" ? "waiting for its turn" : left(progress.eta) || (progress.done ? `${count(progress.done)} ${progress.unit ?? ""}` : "has begun");
  const name = `${doing(job.verb)} ${about(job)}`.trim();
  return html`<li class=${classes("job", job.state)}>
    <div class="job-head"><b title=${name}>${name}</b>
      ${running
        ? html`${job.verb === "train" && html`<${Act} quiet icon="pause" label="Pause: save and stop for now" work=${() => pause(job)} />`}
            <${Act} quiet icon="stop" label="Stop" work=${() => stop(job)} />`
        : html`<${Button} quiet icon="close" label="Put away" onClick=${() => dismiss(job)} />`}
    </div>
    ${running ? html`<${Bar} done=${progress.done} total=${progress.total} label=${name} /><span class="soft">${words}</span>` : null}
    ${job.state === "failed" && html`<span class="wrong">${sentence(job.error)}</span>`}
    ${job.state === "cancelled" && html`<span class="soft">Stopped.</span>`}
  </li>`;
}

/** Jobs that go on, and those that failed until somebody has seen it. */
export function Tray() {
  const [small, fold] = useState(innerWidth < 700);
  const open = jobs.value.filter((job) => ACTIVE.has(job.state) || (job.state === "failed" && !dismissed.value.has(job.id)));
  if (!open.length) return null;
  const busy = open.filter((job) => ACTIVE.has(job.state));
  const head = busy.length ? `${busy.length} ${busy.length === 1 ? "job" : "jobs"} in progress` : "Something went wrong";
  return html`<aside class="tray" aria-label="Jobs">
    <button type="button" class="tray-head" aria-expanded=${!small} onClick=${() => fold(!small)}>
      <span role="status">${head}</span><${Icon} name=${small ? "up" : "down"} size=${16} /></button>
    ${!small && html`<ul>${open.slice(0, 6).map((job) => html`<${Job} key=${job.id} job=${job} />`)}</ul>`}
    ${!small && open.length > 6 && html`<p class="soft">and ${open.length - 6} more</p>`}
  </aside>`;
}

export function Toast() {
  const now = toast.value;
  return html`<div class="toast-place" role="status" aria-live="polite">
    ${now && html`<div class="toast">${now.text}
      ${now.undo && html`<${Button} onClick=${takeBack}>Undo<//>`}
      <${Button} quiet icon="close" label="Put away" onClick=${finish} /></div>`}
  </div>`;
}

const KEYS = [
  ["1 to 6", "go to a room"],
  ["Arrows", "walk through pictures"],
  ["Enter", "open a picture"],
  ["Space", "compare, or select where things are sorted"],
  ["R", "another seed"],
  ["S", "keep what is shown"],
  ["Alt and arrows", "move a step of a recipe"],
  ["Escape", "close what is open"],
  ["?", "this list"],
];

export function Help() {
  const box = useRef(null);
  useEffect(() => {
    if (helping.value && !box.current.open) box.current.showModal();
    if (!helping.value && box.current.open) box.current.close();
  });
  return html`<dialog ref=${box} class="help" aria-labelledby="help-name" onClose=${() => (helping.value = false)}
    onClick=${(event) => event.target === box.current && box.current.close()}>
    <div><h2 id="help-name">Keys</h2><${Button} quiet icon="close" label="Close" onClick=${() => (helping.value = false)} /></div>
    <dl>${helping.value && KEYS.map(([key, words]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${words}</dd></div>`)}</dl>
  </dialog>`;
}

/** What happens to files that hang over the page. */
export const Drop = () =>
  hovering.value && dropping.value ? html`<div class="drop" aria-hidden="true"><p>${dropping.value.words}</p></div>` : null;

/** Keys that do something where one is: [{depth, own}]; what is open in a room goes before the room. */
const listening = [];

/** Keys of a part for as long as it is there: {r, s, space, ...}. `depth` 1 is what is open in a room. */
export function useKeys(own, depth = 0) {
  const now = useRef(own);
  now.current = own;
  useEffect(() => {
    const mine = { depth, own: now };
    listening.push(mine);
    return () => listening.splice(listening.indexOf(mine), 1);
  }, []);
}

function heard(name) {
  const able = listening.filter((one) => one.own.current[name]);
  return able.sort((a, b) => b.depth - a.depth)[0]?.own.current[name];
}

const typing = (target) => target.closest?.("input:not([type=checkbox]):not([type=radio]):not([type=range]), textarea, select, [contenteditable], dialog");

export function watchKeys() {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (typing(event.target)) return;
    const pressing = event.key === " " && event.target.closest?.("button, a, summary, input, [role=option]");
    const name = event.key === " " ? "space" : event.key.toLowerCase();
    if (/^[1-6]$/.test(event.key)) go({ room: ROOMS[Number(event.key) - 1] });
    else if (event.key === "?") helping.value = true;
    else if (heard(name) && !pressing) heard(name)(event);
    else return;
    event.preventDefault();
  });
}
