// Signs drawn with one line each; they say nothing to screen readers, the words beside them do.
import { html } from "./base.js";

const PATHS = {
  data: "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h6v6h-6z",
  train: "M4 4v16h16M7 15c3 0 3-7 6-7 2 0 2 3 3.5 3S19 9 20 7",
  make: "M12 3v5M12 16v5M3 12h5M16 12h5M6.5 6.5l2.5 2.5M15 15l2.5 2.5M17.5 6.5L15 9M9 15l-2.5 2.5",
  refine: "M4 7h9M17 7h3M15 5v4M4 12h3M11 12h9M9 10v4M4 17h9M17 17h3M15 15v4",
  judge: "M12 4v16M7 20h10M5 7h14M5 7l-3 7h6zM19 7l-3 7h6z",
  gallery: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9h.01",
  close: "M6 6l12 12M18 6L6 18",
  plus: "M12 5v14M5 12h14",
  up: "M6 14l6-6 6 6",
  down: "M6 10l6 6 6-6",
  dice: "M5 5h14v14H5zM9 9h.01M15 15h.01M12 12h.01M15 9h.01M9 15h.01",
  pause: "M9 6v12M15 6v12",
  stop: "M7 7h10v10H7z",
  play: "M8 5l11 7-11 7z",
  undo: "M9 7L4 12l5 5M4 12h11a5 5 0 010 10h-2",
  save: "M12 4v11M7 11l5 5 5-5M5 20h14",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  brush: "M20 4L10 14M8 14c-3 0-2 4-5 5 2 2 7 2 8-2 .3-1.6-1-3-3-3z",
  mask: "M12 4a8 8 0 100 16zM12 4a8 8 0 010 16",
  grip: "M9 6h.01M15 6h.01M9 12h.01M15 12h.01M9 18h.01M15 18h.01",
  help: "M9 9a3 3 0 115 2c-1.5 1-2 1.5-2 3M12 18h.01",
  search: "M11 5a6 6 0 100 12 6 6 0 000-12M20 20l-4.5-4.5",
  check: "M5 12l5 5 9-10",
  warn: "M12 4l9 16H3zM12 10v4M12 17h.01",
  compare: "M12 3v18M4 6h5v12H4M20 6h-5v12h5",
};

export const Icon = ({ name, size = 20 }) => html`<svg
  class="icon" width=${size} height=${size} viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75"
  stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false"><path d=${PATHS[name]} /></svg>`;
