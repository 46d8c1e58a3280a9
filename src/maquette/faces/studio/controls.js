// Controls made from the settings that the verbs describe: label, one sentence, bounds, a dot when changed.
import { classes, html, keep, kept, useEffect, useRef, useState } from "./base.js";
import { Icon } from "./icons.js";
import { number, sentence, title } from "./words.js";

let serial = 0;
/** A name for an element that stays the same while the element lives. */
export const useName = (stem) => useState(() => `${stem}-${(serial += 1)}`)[0];

/** Values of a form that are found again when one comes back. */
export function useKept(name, fallback = {}) {
  const [values, set] = useState(() => ({ ...fallback, ...kept(name, {}) }));
  const last = useRef(name);
  if (last.current !== name) {
    last.current = name;
    set({ ...fallback, ...kept(name, {}) });
  }
  const change = (key, value) =>
    set((now) => {
      const next = { ...now, [key]: value };
      if (value === undefined) delete next[key];
      keep(name, next);
      return next;
    });
  return [values, change];
}

/** Something that is done on a press: busy while it is, and its error stays beside it. */
export function useAct(work) {
  const [state, set] = useState({ busy: false, error: "" });
  const alive = useRef(true);
  useEffect(() => () => (alive.current = false), []);
  const press = async (...given) => {
    if (state.busy) return undefined;
    set({ busy: true, error: "" });
    try {
      const result = await work(...given);
      if (alive.current) set({ busy: false, error: "" });
      return result;
    } catch (error) {
      if (error.name !== "AbortError" && alive.current) set({ busy: false, error: error.message });
      else if (alive.current) set({ busy: false, error: "" });
      return undefined;
    }
  };
  return { ...state, press, forget: () => set({ busy: false, error: "" }) };
}

/** What went wrong, where it went wrong. */
export const Wrong = ({ text }) => (text ? html`<p class="wrong" role="alert">${sentence(text)}</p>` : null);

/** A button with its own error beneath. */
export function Act({ work, children, primary, quiet, icon, label, disabled, type, ...rest }) {
  const { busy, error, press } = useAct(work);
  return html`<span class="act">
    <button type="button" class=${classes("button", primary && "primary", quiet && "quiet", !children && "only")}
      aria-busy=${busy} aria-label=${label} title=${label} disabled=${disabled} onClick=${() => press()} ...${rest}>
      ${icon && html`<${Icon} name=${icon} />`}${children}
    </button>
    <${Wrong} text=${error} />
  </span>`;
}

export const Button = ({ children, primary, quiet, icon, label, class: more, ...rest }) => html`<button type="button"
  class=${classes("button", primary && "primary", quiet && "quiet", !children && "only", more)}
  aria-label=${label} title=${label} ...${rest}>${icon && html`<${Icon} name=${icon} />`}${children}</button>`;

const low = (bounds) => bounds.ge ?? bounds.gt;
const high = (bounds) => bounds.le ?? bounds.lt;

/** Whether a slider says more than a field for digits. */
function slides(setting) {
  const [from, to] = [low(setting.bounds ?? {}), high(setting.bounds ?? {})];
  if (from === undefined || to === undefined) return false;
  return to - from <= (setting.kind === "integer" ? 128 : 1000);
}

function step(setting) {
  if (setting.bounds?.multiple_of) return setting.bounds.multiple_of;
  if (setting.kind === "integer") return 1;
  const width = high(setting.bounds ?? {}) - low(setting.bounds ?? {});
  return Number.isFinite(width) ? 10 ** Math.floor(Math.log10(width / 100)) : "any";
}

const kindOf = (setting) => (setting.kind === "choice" || setting.choices?.length ? "choice" : setting.kind);

/** Choices as people write them: PNG, Centre. */
const spelled = (word) => (/^(png|jpeg|webp|avif|tiff|gif|mp4|rgba?|cpu|cuda|mps|onnx|html|xy?|y)$/.test(word) ? word.toUpperCase() : title(word));

/** One setting as a control. `value` undefined means: as it is when nobody says anything. */
export function Field({ setting, value, change, name: shown, options, hint = true, placeholder }) {
  const id = useName("field");
  const label = shown ?? title(setting.option ?? setting.name);
  const usual = setting.default;
  const altered = value !== undefined && value !== usual && !(value === "" && (usual === null || usual === ""));
  const choices = options ?? setting.choices;
  const kind = options ? "choice" : kindOf(setting);
  const reset = () => change(undefined);
  const head = html`<span class="field-head">
    <label for=${id} onDblClick=${reset}>${label}</label>
    ${altered && html`<button type="button" class="dot" onClick=${reset} title="Back to the usual"
      aria-label=${`${label}: back to the usual`}></button>`}
  </span>`;
  const help = hint && setting.help ? html`<span class="hint" id=${`${id}-hint`}>${sentence(setting.help)}</span>` : null;
  const common = { id, "aria-describedby": help ? `${id}-hint` : undefined };
  const now = value ?? usual;
  let control;
  if (kind === "switch") {
    return html`<div class="field switch">
      <input type="checkbox" ...${common} checked=${now === true} onChange=${(event) => change(event.target.checked)} />
      <div>${head}${help}</div>
    </div>`;
  }
  if (kind === "choice") {
    const list = choices.map((one) => (Array.isArray(one) ? one : [one, one === "" ? "none" : spelled(one)]));
    control = html`<select ...${common} value=${now ?? ""} onChange=${(event) => change(event.target.value)}>
      ${!list.some(([key]) => key === (now ?? "")) && html`<option value=${now ?? ""}>${now ? String(now) : "as is usual"}</option>`}
      ${list.map(([key, words]) => html`<option value=${key} key=${key}>${words}</option>`)}
    </select>`;
  } else if (slides(setting)) {
    control = html`<span class="slider">
      <input type="range" ...${common} min=${low(setting.bounds)} max=${high(setting.bounds)} step=${step(setting)}
        value=${now ?? low(setting.bounds)} onInput=${(event) => change(Number(event.target.value))} onDblClick=${reset} />
      <input type="number" class="digits" aria-label=${`${label} in digits`} step="any" value=${now === null || now === undefined ? "" : Number(number(now).replaceAll(",", ""))}
        onChange=${(event) => change(event.target.value === "" ? undefined : Number(event.target.value))} />
    </span>`;
  } else if ((kind === "integer" || kind === "number") && !setting.form?.match(/TIME/)) {
    control = html`<input type="number" ...${common} min=${low(setting.bounds ?? {})} max=${high(setting.bounds ?? {})}
      step=${kind === "integer" ? (setting.bounds?.multiple_of ?? 1) : "any"} value=${now ?? ""} placeholder=${placeholder ?? ""}
      onChange=${(event) => change(event.target.value === "" ? undefined : Number(event.target.value))} />`;
  } else {
    const text = Array.isArray(now) ? now.join(setting.repeat ? "\n" : ", ") : now;
    const hold = (event) => change(written(setting, event.target.value));
    control = setting.repeat
      ? html`<textarea ...${common} rows="2" placeholder=${placeholder ?? setting.form ?? ""} value=${text ?? ""} onChange=${hold}></textarea>`
      : html`<input type="text" ...${common} placeholder=${placeholder ?? setting.form ?? ""} value=${text ?? ""} onInput=${hold} />`;
  }
  return html`<div class="field">${head}${control}${help}</div>`;
}

function written(setting, text) {
  if (text === "") return undefined;
  if (setting.kind !== "list") return text;
  return setting.repeat ? text.split("\n").map((line) => line.trim()).filter(Boolean) : text;
}

/** The rest of the settings, in groups, to be searched. `groups`: [[title, settings, values, change], ...]. */
export function More({ groups, name = "More" }) {
  const [find, search] = useState("");
  const id = useName("find");
  const shown = groups.map(([heading, settings, values, change]) => [
    heading,
    settings.filter((setting) => `${setting.option ?? setting.name} ${setting.help}`.toLowerCase().includes(find.toLowerCase())),
    values,
    change,
  ]);
  const all = groups.reduce((sum, [, settings]) => sum + settings.length, 0);
  const touched = groups.reduce(
    (sum, [, settings, values]) => sum + settings.filter((setting) => values[setting.name] !== undefined).length, 0);
  if (!all) return null;
  return html`<details class="more">
    <summary>${name}${touched > 0 && html` <span class="soft">(${touched} changed)</span>`}</summary>
    ${all > 8 && html`<div class="field"><label class="unseen" for=${id}>Search these settings</label>
      <input type="search" id=${id} placeholder="Search" value=${find} onInput=${(event) => search(event.target.value)} /></div>`}
    ${shown.map(([heading, settings, values, change]) => settings.length > 0 && html`<fieldset key=${heading}>
      <legend>${heading}</legend>
      ${settings.map((setting) => html`<${Field} key=${setting.name} setting=${setting} value=${values[setting.name]}
        change=${(value) => change(setting.name, value)} />`)}
    </fieldset>`)}
  </details>`;
}

/** A few choices that are all seen at once. `options`: [[key, words, sentence?], ...]. */
export function Choices({ legend, options, value, change, rows = false }) {
  const id = useName("choice");
  return html`<fieldset class=${classes("choices", rows && "rows")}>
    <legend>${legend}</legend>
    ${options.map(([key, words, more, small]) => html`<label key=${key} class=${classes("choice", value === key && "chosen")}>
      <input type="radio" name=${id} value=${key} checked=${value === key} onChange=${() => change(key)} />
      <span><b>${words}</b>${small && html` <code class="soft">${small}</code>`}${more && html`<span class="hint">${more}</span>`}</span>
    </label>`)}
  </fieldset>`;
}

/** How far work is. */
export function Bar({ done, total, label }) {
  const known = Number.isFinite(total) && total > 0;
  return html`<progress class="bar" aria-label=${label} max=${known ? total : undefined} value=${known ? Math.min(done, total) : undefined}></progress>`;
}

/** A place that is still empty says what belongs there and offers one button. */
export const Empty = ({ heading, children, action }) => html`<div class="empty">
  <h2>${heading}</h2>
  <p>${children}</p>
  ${action}
</div>`;
