// A wall of pictures: only those in sight are in the page; arrows walk through them, Enter opens, Space compares or selects.
import { classes, html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./base.js";
import { ask } from "./server.js";

/** How large a picture is shown: small ones at a whole multiple, so that every pixel stays square. */
export function fit(width, height, wish) {
  const aim = innerWidth < 500 ? Math.min(wish, 100) : wish;
  const side = Math.max(width || aim, height || aim);
  const scale = side <= aim ? Math.max(1, Math.floor(aim / side)) : aim / side;
  return { width: Math.round((width || aim) * scale), height: Math.round((height || aim) * scale), sharp: side <= 128 };
}

/** A list that the server hands out in pages. `key` changes when it must be read anew. */
export function usePages(path, key, size = 120) {
  const [state, set] = useState({ total: null, error: "", extra: null });
  const held = useRef({ key: null, items: [], asked: new Set() });
  const [, redraw] = useState(0);
  const tag = `${path} ${key}`;
  const load = async (page) => {
    const mine = held.current;
    if (mine.asked.has(page) || !path) return;
    mine.asked.add(page);
    try {
      const answer = await ask(`${path}${path.includes("?") ? "&" : "?"}offset=${page * size}&limit=${size}`);
      if (held.current !== mine) return;
      (answer.items ?? answer.images).forEach((item, k) => (mine.items[page * size + k] = item));
      const { items, images, total, ...extra } = answer;
      set({ total, error: "", extra });
      redraw((n) => n + 1);
    } catch (error) {
      if (held.current === mine) {
        mine.asked.delete(page);
        set((now) => ({ ...now, error: error.message }));
      }
    }
  };
  if (held.current.key !== tag) {
    held.current = { key: tag, path, items: held.current.path === path ? held.current.items.slice() : [], asked: new Set() };
  }
  useEffect(() => {
    if (path) load(0);
  }, [tag]);
  return {
    total: path ? state.total : 0,
    error: state.error,
    extra: state.extra,
    item: (index) => held.current.items[index],
    need: (from, to) => {
      for (let page = Math.floor(from / size); page <= Math.floor(Math.max(from, to - 1) / size); page += 1) load(page);
    },
  };
}

/** A plain list in the form that a wall wants. */
export const listed = (items) => ({ total: items.length, item: (index) => items[index], need: () => {} });

/**
 * pages: from usePages or listed. picture(item) -> {src, label, badge?, width?, height?, still?}. cell: {width, height, sharp}.
 * chosen: Set of keys; keyOf(item). onOpen(item, index), onChoose(item, index, event), onSpace(item, index).
 */
export function Wall({ pages, picture, cell, chosen, keyOf, onOpen, onChoose, onSpace, onDrop, label, gap = 4, current }) {
  const frame = useRef(null);
  const [view, look] = useState({ top: 0, height: 800, width: 800 });
  const [focus, move] = useState(0);
  const wanted = useRef(false);
  useLayoutEffect(() => {
    const box = frame.current;
    const see = () => look({ top: box.scrollTop, height: box.clientHeight, width: box.clientWidth });
    const watch = new ResizeObserver(see);
    watch.observe(box);
    box.addEventListener("scroll", see, { passive: true });
    see();
    return () => {
      watch.disconnect();
      box.removeEventListener("scroll", see);
    };
  }, []);
  const total = pages.total ?? 0;
  const columns = Math.max(1, Math.floor((view.width - 36 + gap) / (cell.width + gap)));
  const room = view.width - 36;
  const spare = (room - columns * cell.width) / (columns - 1);
  const across = columns > 1 && total >= columns && spare < 32 ? cell.width + spare : cell.width + gap;
  const row = cell.height + Math.round(Math.min(across - cell.width, 3 * gap));
  const from = Math.max(0, Math.floor((view.top - view.height) / row)) * columns;
  const to = Math.min(total, Math.ceil((view.top + 2 * view.height) / row) * columns);
  useEffect(() => {
    if (to > from) pages.need(from, to);
  }, [from, to, pages]);
  const at = Math.min(focus, Math.max(0, total - 1));
  useEffect(() => {
    if (!wanted.current) return;
    wanted.current = false;
    frame.current.querySelector(`[data-index="${at}"]`)?.focus();
  });
  const walk = (next) => {
    const index = Math.max(0, Math.min(total - 1, next));
    wanted.current = true;
    move(index);
    const top = Math.floor(index / columns) * row;
    const box = frame.current;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + row > box.scrollTop + box.clientHeight - 32) box.scrollTop = top + row - box.clientHeight + 48;
  };
  const press = (event) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -total, End: total };
    const item = pages.item(at);
    if (event.key in steps && !event.ctrlKey && !event.metaKey && !event.altKey) walk(at + steps[event.key]);
    else if (event.key === "Enter" && item) onOpen?.(item, at);
    else if (event.key === " " && item) (onSpace ?? onChoose)?.(item, at, event);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const shown = [];
  for (let index = from; index < to; index += 1) {
    const item = pages.item(index);
    const style = {
      width: `${cell.width}px`, height: `${cell.height}px`, left: `${Math.round((index % columns) * across)}px`,
      top: `${Math.floor(index / columns) * row}px`,
    };
    if (!item) {
      shown.push(html`<div key=${`empty-${index}`} class="cell waiting" role="presentation" style=${style}></div>`);
      continue;
    }
    const key = keyOf(item);
    const look = picture(item);
    const isChosen = chosen?.has(key) ?? false;
    shown.push(html`<div key=${key} data-index=${index} class=${classes("cell", isChosen && "chosen", current === key && "current", look.dim && "dim")}
      style=${style} role="option" aria-selected=${isChosen} aria-label=${look.label} title=${look.label} tabindex=${index === at ? 0 : -1}
      onFocus=${() => move(index)}
      onClick=${(event) => {
        move(index);
        if (onChoose && (event.shiftKey || event.ctrlKey || event.metaKey || !onOpen)) onChoose(item, index, event);
        else onOpen?.(item, index);
      }}
      onDblClick=${() => !onOpen && onSpace?.(item, index)}
      draggable=${Boolean(onDrop)} ...${onDrop ? dragging(key, item, onDrop) : {}}>
      <img class=${cell.sharp ? "sharp" : ""} src=${look.src} alt="" loading="lazy" decoding="async" draggable=${false} />
      ${look.badge && html`<span class="badge">${look.badge}</span>`}
      ${isChosen && html`<span class="tick" aria-hidden="true"></span>`}
    </div>`);
  }
  return html`<div class="wall" ref=${frame} onKeyDown=${press}>
    <div class="wall-inside" role="listbox" aria-multiselectable="true" aria-label=${label}
      tabindex=${total ? undefined : 0}
      style=${{ height: `${Math.ceil(total / columns) * row}px`, width: `${room}px` }}>${shown}</div>
  </div>`;
}

/** Pictures that can be dropped on each other. */
function dragging(key, item, onDrop) {
  return {
    onDragStart: (event) => {
      event.dataTransfer.setData("application/x-maquette", key);
      event.dataTransfer.effectAllowed = "copy";
    },
    onDragOver: (event) => {
      if (!event.dataTransfer.types.includes("application/x-maquette")) return;
      event.preventDefault();
      event.currentTarget.classList.add("over");
    },
    onDragLeave: (event) => event.currentTarget.classList.remove("over"),
    onDrop: (event) => {
      event.currentTarget.classList.remove("over");
      const from = event.dataTransfer.getData("application/x-maquette");
      if (!from) return;
      event.preventDefault();
      event.stopPropagation();
      if (from !== key) onDrop(from, item);
    },
  };
}

/** Choose as lists do: a press chooses one more or less, shift a stretch from the last one. */
export function useChosen(keyOf, pages) {
  const [chosen, set] = useState(() => new Set());
  const last = useRef(null);
  const choose = (item, index, event) => {
    const next = new Set(chosen);
    if (event?.shiftKey && last.current !== null) {
      const [from, to] = [Math.min(last.current, index), Math.max(last.current, index)];
      for (let k = from; k <= to; k += 1) if (pages.item(k)) next.add(keyOf(pages.item(k)));
    } else if (next.has(keyOf(item))) next.delete(keyOf(item));
    else next.add(keyOf(item));
    last.current = index;
    set(next);
  };
  const none = useMemo(() => () => set(new Set()), []);
  return { chosen, choose, none, set };
}
