// Files on their way in: dropped anywhere or chosen, whole folders too, sent a few at a time, shown as they arrive.
import { html, signal, useEffect, useRef } from "./base.js";
import { Button } from "./controls.js";
import { Problem, ask, send } from "./server.js";
import { bytes } from "./words.js";

const AT_ONCE = 4;
const SHOWN = 400;
/** More than this many files are not taken in one go. */
const MOST = 200_000;

/** What is on its way: null or {batch, name, total, arrived, bytes, failed, shown, over, stop}. */
export const arriving = signal(null);

/** All files of what was dropped, with their paths inside the folders. */
export async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, path: file.name }));
  const found = [];
  const walk = async (entry, above) => {
    if (found.length >= MOST || entry.name.startsWith(".")) return;
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject)).catch(() => null);
      if (file) found.push({ file, path: `${above}${entry.name}` });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)).catch(() => []);
      if (!some.length) return;
      for (const one of some) await walk(one, `${above}${entry.name}/`);
    }
  };
  for (const entry of entries) await walk(entry, "");
  return found;
}

/** The same of files that were chosen in a dialogue. */
export const chosenFiles = (list) => [...list].map((file) => ({ file, path: file.webkitRelativePath || file.name }));

/** Begin to send files; answers when all have arrived or failed. */
export async function bring(files) {
  dropPreviews();
  const top = files[0]?.path.includes("/") ? files[0].path.split("/")[0] : "";
  const together = top && files.every((one) => one.path.startsWith(`${top}/`));
  const stop = new AbortController();
  const batch = `b${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}`;
  const name = together ? top : files.length === 1 ? files[0].path.replace(/\.[^.]*$/, "") : "";
  arriving.value = { batch, name, total: files.length, arrived: 0, bytes: 0, failed: [], shown: [], over: false, stop };
  const mine = () => arriving.value?.batch === batch;
  // Ten thousand files are not ten thousand pieces of news: what came since is shown ten times a second.
  let next = 0;
  let news = { arrived: 0, bytes: 0, failed: [], shown: [] };
  let due = 0;
  const publish = () => {
    clearTimeout(due);
    due = 0;
    if (!mine()) return;
    const now = arriving.value;
    arriving.value = { ...now, arrived: now.arrived + news.arrived, bytes: now.bytes + news.bytes, failed: [...now.failed, ...news.failed], shown: [...now.shown, ...news.shown] };
    news = { arrived: 0, bytes: 0, failed: [], shown: [] };
  };
  const worker = async () => {
    while (next < files.length && mine()) {
      const one = files[next];
      next += 1;
      const path = together ? one.path.slice(top.length + 1) : one.path;
      try {
        await sendPatiently(one.file, path, batch, stop.signal);
        if (!mine()) return;
        news.arrived += 1;
        news.bytes += one.file.size;
        const room = arriving.value.shown.length + news.shown.length < SHOWN;
        if (room && one.file.type.startsWith("image/") && one.file.size < 3e7) news.shown.push({ url: URL.createObjectURL(one.file), path: one.path });
      } catch (problem) {
        if (problem.name === "AbortError" || !mine()) return;
        news.failed.push({ path: one.path, error: problem.message });
      }
      due ||= setTimeout(publish, 100);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, files.length) }, worker));
  publish();
  if (mine()) arriving.value = { ...arriving.value, over: true };
  return batch;
}

let limits = null;

/** A server that is away or busy for a moment costs a pause, not the file; one that is too large is not sent at all. */
async function sendPatiently(file, path, batch, stop) {
  limits ??= (await ask("/api").catch(() => null))?.limits ?? null;
  if (limits && file.size > limits.file) throw new Problem(`${bytes(file.size)} are more than the ${bytes(limits.file)} that a file may have`, 413);
  for (let pause = 500; ; pause *= 2) {
    try {
      return await send(file, path, batch, stop);
    } catch (problem) {
      if (problem.name === "AbortError" || ![0, 429, 503].includes(problem.status) || pause > 16_000) throw problem;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

/** Send files that are no dataset (a mask, a picture to refine): their names as sources. */
export async function hand(files) {
  const batch = `f${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}`;
  const names = [];
  for (const { file, path } of files) {
    const name = path.split("/").at(-1);
    await sendPatiently(file, name, batch);
    names.push(`upload:${batch}/${name}`);
  }
  return names;
}

export function forgetArriving() {
  arriving.value?.stop.abort();
  dropPreviews();
  arriving.value = null;
}

function dropPreviews() {
  for (const one of arriving.value?.shown ?? []) URL.revokeObjectURL(one.url);
}

addEventListener("beforeunload", (event) => {
  if (arriving.value && !arriving.value.over) event.preventDefault();
});

/** What each room does with files that are dropped: {words, take(files)}, or null. */
export const dropping = signal(null);
/** What the open room does with files, for as long as it is open; `words` empty means nothing. */
export function useDrop(words, take, when = []) {
  useEffect(() => {
    const own = words ? { words, take } : null;
    dropping.value = own;
    return () => {
      if (dropping.value === own) dropping.value = null;
    };
  }, [words, ...when]);
}

/** Whether files hang over the page just now. */
export const hovering = signal(false);

let depth = 0;
const carries = (event) => event.dataTransfer?.types?.includes("Files");

/** Let files be dropped anywhere on the page. */
export function watchDrops() {
  addEventListener("dragenter", (event) => {
    if (!carries(event)) return;
    depth += 1;
    hovering.value = true;
  });
  addEventListener("dragleave", (event) => {
    if (!carries(event)) return;
    depth = Math.max(0, depth - 1);
    if (!depth) hovering.value = false;
  });
  addEventListener("dragover", (event) => carries(event) && event.preventDefault());
  addEventListener("drop", async (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    depth = 0;
    hovering.value = false;
    const files = await filesOf(event.dataTransfer);
    if (files.length) dropping.value?.take(files);
  });
}

/** A button that opens the dialogue of the system for files. */
export function Pick({ children, take, folder, accept, several = true, ...rest }) {
  const input = useRef(null);
  return html`<span class="pick">
    <input ref=${input} type="file" class="unseen" tabindex="-1" aria-hidden="true" multiple=${several} accept=${accept}
      webkitdirectory=${folder || undefined}
      onChange=${(event) => {
        const files = chosenFiles(event.target.files);
        event.target.value = "";
        if (files.length) take(files);
      }} />
    <${Button} ...${rest} onClick=${() => input.current.click()}>${children}<//>
  </span>`;
}
