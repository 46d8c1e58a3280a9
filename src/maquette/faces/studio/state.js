// What the page knows: where it is (the address says so), what there is, and what is being done.
import { batch, computed, keep, kept, signal } from "./base.js";
import { Problem, ask, away, begin, change, updated } from "./server.js";

export const ROOMS = ["data", "train", "make", "refine", "judge", "gallery"];

// Where: #/make?run=first&open=abc

function read() {
  const [path, query = ""] = decodeURI(location.hash.slice(1)).split(/\?(.*)/s);
  const room = path.replace(/^\//, "");
  return { ...Object.fromEntries(new URLSearchParams(query)), room: ROOMS.includes(room) ? room : "data" };
}

/** The room and what is open in it. */
export const place = signal(read());
addEventListener("hashchange", () => (place.value = read()));
addEventListener("popstate", () => (place.value = read()));

/** Go to another room, or open something; what is undefined is closed. `quietly` makes no step in the history. */
export function go(changes, { quietly = false } = {}) {
  const now = place.value;
  const other = changes.room && changes.room !== now.room;
  const next = other ? { dataset: now.dataset, run: now.run, ...changes } : { ...now, ...changes };
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(next)) {
    if (name !== "room" && value !== undefined && value !== null && value !== "") query.set(name, value);
  }
  const words = query.toString();
  const address = `#/${next.room}${words ? `?${words}` : ""}`;
  if (address !== location.hash) history[quietly ? "replaceState" : "pushState"](null, "", address);
  if (other) keep("room", next.room);
  place.value = read();
}

// What there is. null means: not known yet.

export const datasets = signal(null);
export const runs = signal(null);
export const verbs = signal(null);
export const families = signal(null);
export const jobs = signal([]);
/** Counts up whenever the datasets', the runs' or the images' insides may have changed. */
export const changed = { datasets: signal(0), runs: signal(0), images: signal(0) };
/** Why the lists could not be read. */
export const trouble = signal("");

const among = (list, asked, last) => {
  const known = list ?? [];
  return (known.find((one) => one.id === asked) ?? known.find((one) => one.id === last) ?? known[0])?.id;
};

/** The dataset that a run learned from, and the newest run of a dataset. */
const home = (id) => {
  const from = runs.value?.find((one) => one.id === id)?.dataset;
  return from && datasets.value?.find((one) => one.id === from || one.name === from)?.id;
};
const born = (id) => {
  const name = datasets.value?.find((one) => one.id === id)?.name;
  return name && runs.value?.find((one) => one.dataset === id || one.dataset === name)?.id;
};

/** The id of the dataset, and of the run, that the page is about: where only one is named, the other is its own. */
export const dataset = computed(() => among(datasets.value, place.value.dataset ?? (place.value.run && home(place.value.run)), kept("dataset")));
export const run = computed(() => {
  const asked = place.value.run ?? (place.value.dataset && born(place.value.dataset)) ?? kept("run");
  const begun = asked && !runs.value?.some((one) => one.id === asked) && trains(asked);
  return begun ? asked : among(runs.value, asked, kept("run"));
});

/** The training of a run that goes on just now; its folder is made only when the machine was measured. */
export const trains = (id) => jobs.value.find((job) => job.verb === "train" && ACTIVE.has(job.state) && (job.run === id || job.values?.to === id));

/** Choose a dataset or a run; the other follows when it belongs to it. */
export function choose(given) {
  const what = { ...given };
  if (what.run && !what.dataset) what.dataset = home(what.run);
  if (what.dataset && !what.run) what.run = born(what.dataset);
  for (const [name, value] of Object.entries(what)) if (value) keep(name, value);
  go({ ...what, open: undefined }, { quietly: true });
}

export const verb = (name) => verbs.value?.find((one) => one.verb === name);
export const family = (name) => families.value?.find((one) => one.name === name);

/** The facts of the dataset, and of the run, that the page is about. */
export const theDataset = computed(() => datasets.value?.find((one) => one.id === dataset.value));
export const theRun = computed(() => runs.value?.find((one) => one.id === run.value));

/** Read the lists anew. */
export async function refresh(what = ["datasets", "runs"]) {
  const lists = { datasets, runs };
  await Promise.all(
    what.map(async (name) => {
      try {
        const answer = await ask(`/api/${name}`);
        const shown = { datasets: theDataset, runs: theRun }[name].value;
        const gone = shown && ![...(answer.items ?? answer)].some((one) => one.id === shown.id && !one.missing);
        if (gone) tell(`${shown.name} is not there any more: it was deleted or moved`, { seconds: 8 });
        batch(() => {
          lists[name].value = (answer.items ?? answer).filter((one) => !one.missing);
          trouble.value = "";
        });
      } catch (error) {
        trouble.value = error.message;
      }
    }),
  );
}

// Jobs

export const ACTIVE = new Set(["queued", "running"]);
export const active = computed(() => jobs.value.filter((job) => ACTIVE.has(job.state)));

const waiting = new Map();
const TOUCHES = {
  ingest: ["datasets"],
  audit: ["datasets"],
  label: ["datasets"],
  remove: ["datasets"],
  mark: ["datasets"],
  train: ["runs"],
  pause: ["runs"],
  evaluate: ["runs"],
};

function put(job) {
  const before = jobs.value.find((one) => one.id === job.id);
  if (before && !ACTIVE.has(before.state) && ACTIVE.has(job.state)) return; // an old message that came late
  jobs.value = before
    ? jobs.value.map((one) => (one.id === job.id ? { ...one, ...job } : one))
    : [job, ...jobs.value].sort((a, b) => (b.created ?? 0) - (a.created ?? 0));
  if (ACTIVE.has(job.state) || (before && !ACTIVE.has(before.state))) return;
  waiting.get(job.id)?.(job);
  waiting.delete(job.id);
  if (before) ended(job.verb);
}

function ended(name) {
  const touched = TOUCHES[name] ?? ["images"];
  for (const what of touched) changed[what].value += 1;
  const lists = touched.filter((what) => what !== "images");
  if (lists.length) refresh(lists);
}

/** Begin a verb's work; answers its job at once. What is asked twice by two presses is done once. */
export async function start(name, values) {
  const { job } = await begin(name, values);
  put(job);
  return job;
}

/** Wait until a job has ended: the job with its result; what went wrong is thrown. */
export async function done(job) {
  let last = jobs.value.find((one) => one.id === job.id) ?? job;
  while (ACTIVE.has(last.state)) {
    last = await Promise.race([
      new Promise((resolve) => waiting.set(job.id, resolve)),
      new Promise((resolve) => setTimeout(resolve, 3000)).then(() => ask(`/api/jobs/${job.id}`).catch(() => last)),
    ]);
    put(last);
  }
  if (last.state === "done") return last;
  throw new Problem(last.error || "this was stopped before it was done");
}

/** Do a short verb and answer the job that has done it. */
export async function act(name, values) {
  const { job } = await begin(name, values, { wait: 25 });
  put(job);
  if (!ACTIVE.has(job.state)) ended(name);
  return done(job);
}

export const pause = (job) => change("POST", `/api/jobs/${encodeURIComponent(job.id)}/pause`);
export const repeat = (job) => change("POST", `/api/jobs/${encodeURIComponent(job.id)}/again`);
export const stop = (job) => change("POST", `/api/jobs/${encodeURIComponent(job.id)}/cancel`);

/** Jobs whose end a person has not put away yet. */
export const dismissed = signal(new Set(kept("dismissed", [])));
export function dismiss(job) {
  dismissed.value = new Set([...dismissed.value, job.id].slice(-500));
  keep("dismissed", [...dismissed.value]);
}

let source = null;
let version = null;
let seen = false;

/** Listen to what happens to jobs and lists, for as long as the page is open. */
export function listen() {
  source?.close();
  source = new EventSource("/api/events");
  const on = (name, hear) =>
    source.addEventListener(name, (message) => {
      try {
        hear(JSON.parse(message.data));
      } catch {
        // a message that is not for us
      }
    });
  on("hello", (said) => {
    away.value = false;
    version ??= said.version;
    if (said.version !== version) updated.value = true;
    const there = new Set(said.jobs.map((job) => job.id));
    jobs.value = jobs.value.filter((job) => there.has(job.id));
    for (const job of [...said.jobs].reverse()) put(job);
    refresh();
    if (seen) for (const what of Object.values(changed)) what.value += 1;
    seen = true;
  });
  on("job", put);
  on("gone", ({ id }) => (jobs.value = jobs.value.filter((job) => job.id !== id)));
  on("changed", ({ what }) => {
    for (const name of what) if (changed[name]) changed[name].value += 1;
    const lists = what.filter((name) => name === "datasets" || name === "runs");
    if (lists.length) refresh(lists);
  });
  source.onerror = () => {
    away.value = true;
    if (source.readyState === EventSource.CLOSED) setTimeout(again, 2000);
  };
}

async function again() {
  try {
    await ask("/api");
    listen();
  } catch {
    setTimeout(again, 2000);
  }
}

/** Read what changes only with the version, where a form needs it: the verbs, and the families to choose among. */
export async function learn() {
  if (verbs.value) return;
  const known = await ask("/api/verbs");
  verbs.value = known.items ?? known;
}

export async function learnFamilies() {
  if (families.value) return;
  const kinds = await ask("/api/families");
  families.value = kinds.items ?? kinds;
}

// One line at the bottom that says what was done, with a way back.

export const toast = signal(null);
let clearing = 0;

/** Say what was done; `undo` takes it back, `after` is done when the time to take it back is over. */
export function tell(text, { undo, after, seconds = undo ? 8 : 4 } = {}) {
  finish();
  toast.value = { text, undo, after };
  clearing = setTimeout(finish, seconds * 1000);
}

/** The time to take it back is over. */
export function finish() {
  clearTimeout(clearing);
  const was = toast.value;
  toast.value = null;
  was?.after?.();
}

export async function takeBack() {
  clearTimeout(clearing);
  const was = toast.value;
  toast.value = null;
  try {
    await was?.undo?.();
  } catch (error) {
    tell(error.message);
  }
}
