// Talking to the server: one way to ask, one way to do, one kind of error. Its sentences are shown as they are.
import { signal } from "./base.js";

/** What went wrong, in the server's words. */
export class Problem extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** Whether the server cannot be reached just now. */
export const away = signal(false);
/** Whether this tab may no longer speak to the server: its token is old. */
export const locked = signal(false);
/** Whether the server is another version than the one this page came from. */
export const updated = signal(false);

function look(answer) {
  away.value = false;
  if (answer.status === 401) locked.value = true;
}

async function reach(path, options) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    away.value = true;
    throw new Problem("the studio's server does not answer: start it again with maquette studio", 0);
  }
  look(answer);
  if (!answer.ok) throw new Problem(await said(answer), answer.status);
  return answer;
}

async function said(answer) {
  const usual = {
    401: "this page's key is no longer valid: open the address that maquette studio printed",
    404: "this is not there any more",
    413: "this is more than the server takes at once",
    429: "the server has its hands full: try again in a moment",
  };
  try {
    const body = await answer.json();
    if (typeof body.error === "string" && body.error) return body.error;
  } catch {
    // not JSON
  }
  return usual[answer.status] ?? `the server could not do it (${answer.status})`;
}

/** Read something. */
export async function ask(path, options = {}) {
  return (await reach(path, options)).json();
}

/** Change something that is not a verb: PUT or DELETE. */
export async function change(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["content-type"] = "application/json";
  }
  const answer = await reach(path, options);
  return answer.status === 204 ? null : answer.json();
}

/** Begin a verb; answers its job. With `wait` (seconds) also its result, when it ends in time. */
export async function begin(verb, values, { wait = 0, signal: stop } = {}) {
  const answer = await reach(`/api/${encodeURIComponent(verb)}${wait ? `?wait=${wait}` : ""}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(clean(values)),
    signal: stop,
  });
  return answer.json();
}

/** Values without those that were left out. */
const clean = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== null));

/** Pictures that are made on the spot: a Blob and how long it took. */
export async function picture(path, values, stop) {
  const answer = await reach(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(clean(values)),
    signal: stop,
  });
  return { blob: await answer.blob(), seconds: Number(answer.headers.get("x-seconds")) };
}

/** Send one file; `into` names the batch it belongs to. */
export async function send(file, name, into, stop) {
  const query = new URLSearchParams({ into, name });
  const answer = await reach(`/api/uploads?${query}`, {
    method: "POST",
    headers: { "content-type": "application/octet-stream" },
    body: file,
    signal: stop,
  });
  return answer.json();
}

/** Addresses of pictures. */
export const at = {
  item: (dataset, index) => `/api/datasets/${encodeURIComponent(dataset)}/items/${index}.png`,
  image: (id, width) => `/api/images/${encodeURIComponent(id)}.png${width ? `?width=${width}` : ""}`,
  file: (id) => `/api/images/${encodeURIComponent(id)}/file`,
  sheet: (run, file) => `/api/runs/${encodeURIComponent(run)}/sheets/${encodeURIComponent(file)}`,
  report: (id) => `/api/reports/${encodeURIComponent(id)}`,
};
