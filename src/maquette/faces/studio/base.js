// What every part of the page is made of: Preact, its hooks and signals, and `html` to write elements in.
import { h, render, Fragment } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export const html = htm.bind(h);
export { h, render, Fragment };
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/hooks.js";
export { batch, computed, effect, signal } from "./vendor/signals.js";

/** Class names of those that hold: classes("wall", chosen && "chosen"). */
export const classes = (...names) => names.filter(Boolean).join(" ");

/** A value kept in this browser under a name; what cannot be kept is done without. */
export function kept(name, fallback) {
  try {
    const text = localStorage.getItem(`maquette.${name}`);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback;
  }
}

/** Keep a value in this browser; nothing (undefined) forgets it. */
export function keep(name, value) {
  try {
    if (value === undefined) localStorage.removeItem(`maquette.${name}`);
    else localStorage.setItem(`maquette.${name}`, JSON.stringify(value));
  } catch {
    // a private window, or no room: the page works without
  }
}
