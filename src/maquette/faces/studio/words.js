// Numbers, times and names as people say them.

const NUMBER = new Intl.NumberFormat("en");

/** 12345 as 12,345. */
export const count = (value) => (Number.isFinite(value) ? NUMBER.format(Math.round(value)) : "");

/** "1 image", "2 images". */
export const many = (value, one, more = `${one}s`) => `${count(value)} ${value === 1 ? one : more}`;

/** A measured number with three digits that mean something. */
export function number(value) {
  if (!Number.isFinite(value)) return "";
  const size = Math.abs(value);
  if (size >= 1000) return count(value);
  if (size !== 0 && size < 0.001) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}

/** 0.824 as "82 %". */
export function share(value) {
  if (!Number.isFinite(value)) return "";
  const percent = value * 100;
  return `${percent > 0 && percent < 10 ? Number(percent.toPrecision(percent < 1 ? 1 : 2)) : Math.round(percent)} %`;
}

/** A span of seconds: "8 seconds", "6 minutes", "1 hour 20 minutes". */
export function span(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return "";
  if (seconds < 90) return many(Math.max(1, Math.round(seconds)), "second");
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return many(minutes, "minute");
  const hours = Math.floor(minutes / 60);
  const rest = Math.round((minutes % 60) / 5) * 5;
  if (hours >= 36) return many(Math.round(hours / 24), "day");
  if (rest === 60) return many(hours + 1, "hour");
  return rest && hours < 10 ? `${many(hours, "hour")} ${rest} minutes` : many(hours, "hour");
}

/** How long work still takes. */
export const left = (seconds) => (Number.isFinite(seconds) ? `about ${span(seconds)} left` : "");

/** A moment (seconds since 1970) as a person would say it today. */
export function when(moment) {
  if (!Number.isFinite(moment)) return "";
  const ago = Date.now() / 1000 - moment;
  if (ago < 60) return "just now";
  if (ago < 3600) return `${many(Math.round(ago / 60), "minute")} ago`;
  const date = new Date(moment * 1000);
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (date.toDateString() === new Date().toDateString()) return `today ${time}`;
  return `${date.toLocaleDateString([], { day: "numeric", month: "long", year: "numeric" })}, ${time}`;
}

/** `held_out` and `held-out` as "Held out". */
export function title(name) {
  const words = String(name).replace(/[-_]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A sentence with its first letter large and a full stop. */
export function sentence(text) {
  const words = String(text ?? "").trim();
  if (!words) return "";
  return words.charAt(0).toUpperCase() + words.slice(1) + (/[.!?:]$/.test(words) ? "" : ".");
}

/** Bytes as 3.2 MB. */
export function bytes(value) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let size = value;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit ? size.toFixed(size < 10 ? 1 : 0) : size} ${units[unit]}`;
}

/** A name for a dataset or a model made of any text: what a folder may be called anywhere. */
export function named(text, fallback) {
  const name = String(text).normalize("NFKC").replace(/[^\p{L}\p{N}._ -]+/gu, " ").replace(/\s+/g, " ").trim();
  return name.replace(/^\.+/, "").slice(0, 60).trim() || fallback;
}

/** The name, or the first of name-2, name-3 that nobody has. */
export function unused(name, taken) {
  if (!taken.includes(name)) return name;
  let next = 2;
  while (taken.includes(`${name}-${next}`)) next += 1;
  return `${name}-${next}`;
}

/** What a verb is doing, for people. */
const DOING = {
  ingest: "Reading images",
  audit: "Looking for problems",
  train: "Training",
  sample: "Making images",
  complete: "Completing",
  refine: "Refining",
  evaluate: "Judging",
  compare: "Comparing",
  verify: "Verifying",
  "edit-mix": "Mixing",
  "edit-vary": "Varying",
  "edit-walk": "Walking through",
  "edit-reconstruct": "Bringing images into",
  export: "Exporting",
  label: "Labelling",
  remove: "Setting aside",
  replay: "Making again",
};
export const doing = (verb) => DOING[verb] ?? title(verb);
