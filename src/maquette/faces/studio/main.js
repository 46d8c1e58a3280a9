// The page: rooms are loaded when they are first entered, so that the first one is there at once.
import { html, render, useEffect, useState } from "./base.js";
import { arriving, watchDrops } from "./arrive.js";
import { Wrong } from "./controls.js";
import { Banner, Drop, Help, Rail, Toast, Top, Tray, watchKeys } from "./shell.js";
import { away } from "./server.js";
import { datasets, go, learn, listen, place, refresh, ROOMS, runs } from "./state.js";
import { kept } from "./base.js";

const loaded = new Map();

function Room() {
  const { room } = place.value;
  const [, redraw] = useState(0);
  const [unknown, fail] = useState("");
  const [missing, lack] = useState("");
  const there = loaded.get(room);
  const forms = room !== "data" || arriving.value !== null; // the wall of a dataset has none
  // Both are tried again as soon as a server that was away answers.
  useEffect(() => {
    if (forms && !away.value) learn().then(() => fail(""), (problem) => fail(problem.message));
  }, [forms, away.value]);
  useEffect(() => {
    if (there || away.value) return;
    import(`./rooms/${room}.js`).then(
      (module) => {
        loaded.set(room, module.Room);
        lack("");
        redraw((n) => n + 1);
      },
      () => lack("This room could not be loaded; reload the page once the server answers"),
    );
  }, [room, there, away.value]);
  if (unknown || missing) return html`<main class="room"><${Wrong} text=${unknown || missing} /></main>`;
  if (!there || datasets.value === null || runs.value === null) return html`<main class="room waiting" aria-busy="true"></main>`;
  return html`<main class="room" id=${`room-${room}`}><${there} key=${room} /></main>`;
}

const Page = () => html`<${Rail} /><${Top} /><${Banner} /><${Room} /><${Tray} /><${Toast} /><${Drop} /><${Help} />`;

if (!location.hash) go({ room: ROOMS.includes(kept("room", "data")) ? kept("room", "data") : "data" }, { quietly: true });
render(html`<${Page} />`, document.body);
listen();
refresh();
watchDrops();
watchKeys();
