// Images between images: mixes, variations and walks as verbs, so that what is kept is signed and can be made again.
import { done, go, start, tell, verbs } from "./state.js";
import { count } from "./words.js";

/** Whether the program has this verb, with this setting. */
export const can = (name, setting) => Boolean(verbs.value?.find((one) => one.verb === name && (!setting || one.settings.some((each) => each.name === setting))));

const folder = (run, what) => `${String(run).split("/").at(-1).replace(/[^\w.-]+/g, "-")}-${what}`;

/** Keep one mix of seeds. */
export async function keepMix(run, seeds, weights, asked, dials) {
  const near = weights.reduce((best, weight, k) => (weight > weights[best] ? k : best), 0);
  const alone = weights[near] > 0.999;
  const job = alone
    ? await start("sample", { run, to: folder(run, "kept"), seed: seeds[near], count: 1, sheet: false, ...asked, ...dials })
    : await start("edit-mix", { run, to: folder(run, `mix-${Date.now().toString(36)}`), seeds, weights, sheet: false, ...asked });
  const { images } = await done(job);
  tell("Kept in the gallery", { seconds: 5 });
  return images?.[0];
}

/** Make a film that walks from seed to seed. */
export async function walk(run, seeds, asked, more) {
  const job = await start("edit-walk", { run, to: folder(run, `walk-${Date.now().toString(36)}`), seeds, ...asked, ...more });
  tell(`Walking between ${count(seeds.length)} images`);
  return job;
}

export const openImage = (id) => go({ room: "gallery", open: id });
