// A recipe as a list of steps that one edits, and as the JSON that the server reads.
import { signal } from "./base.js";
import { ask } from "./server.js";

/** Every op by name; null until they are known. */
export const ops = signal(null);
export const recipes = signal([]);

export async function learnOps() {
  const [known, own] = await Promise.all([ops.value ?? ask("/api/ops"), ask("/api/recipes")]);
  ops.value = known.items ?? known;
  recipes.value = own.items ?? own;
}

export const op = (name) => ops.value?.find((one) => one.name === name);

let serial = 0;
const fresh = () => `s${Date.now().toString(36)}${(serial += 1)}`;

/** A new step of the list. */
export const step = (name, values = {}) => ({ id: fresh(), op: name, values, off: false, where: "", not: false, feather: 2, painted: null });

/** The steps as the server reads them; what is switched off is left out. */
export function toJson(steps) {
  return steps.filter((one) => !one.off && !(one.where === "painted" && !one.painted)).map((one) => {
    const item = one.raw ?? (one.recipe ? { recipe: one.recipe, ...one.values } : { op: one.op, ...one.values });
    if (!one.where) return item;
    const found = one.where === "painted" ? `"${one.painted}"` : one.where;
    return { on: `${one.not ? "not " : ""}${found}${one.feather ? ` feather=${one.feather}` : ""}`, do: item };
  });
}

/** Steps that the server tells, as a list to edit; what the list cannot show in parts is kept whole. */
export function fromJson(items) {
  return (items ?? []).map((item) => {
    if (typeof item === "string") return step(item);
    if (item.op) {
      const { op: name, ...values } = item;
      return step(name, values);
    }
    if (item.recipe) {
      const { recipe, ...values } = item;
      return { ...step("", values), recipe };
    }
    const simple = item.on && /^(not )?([\w-]+)( feather=([\d.]+))?$/.exec(item.on);
    if (simple && item.do && !Array.isArray(item.do) && (typeof item.do === "string" || item.do.op)) {
      const [inner] = fromJson([item.do]);
      return { ...inner, where: simple[2], not: Boolean(simple[1]), feather: Number(simple[4] ?? 0) };
    }
    return { ...step(""), raw: item };
  });
}

/** What a step is called in the list. */
export const nameOf = (one) => one.recipe ?? (one.op || (one.raw?.on ? `on ${one.raw.on}` : "steps together"));

/** Move a step to another place. */
export function moved(steps, from, to) {
  const next = steps.slice();
  const [one] = next.splice(from, 1);
  next.splice(Math.max(0, Math.min(next.length, to)), 0, one);
  return next;
}
