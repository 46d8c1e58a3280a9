// The page: rooms are loaded when they are first entered, so that the first one is there at once.
import { html, render, useEffect, useState } from "./base.js";
import { arriving, watchDrops } from "./arrive.js";
import { Wrong } from "./controls.js";
import { Banner, Drop, Help, Rail, Toast, Top, Tray, watchKeys } from "./shell.js";
import { datasets, go, learn, listen, place, refresh, ROOMS } from "./state.js";
import { kept } from "./base.js";

const loaded = new Map();

function Room() {
  const { room } = place.value;
  const [, redraw] = useState(0);
  const [error, fail] = useState("");
  const there = loaded.get(room);
  const forms = room !== "data" || arriving.value !== null; // the wall of a dataset has none
  useEffect(() => {
    if (forms) learn().catch((problem) => fail(problem.message));
  }, [forms]);
  useEffect(() => {
    if (there) return;
    import(`./rooms/${room}.js`).then(
      (module) => {
        loaded.set(room, module.Room);
        redraw((n) => n + 1);
      },
      () => fail("This room could not be loaded; reload the page once the server answers"),
    );
  }, [room, there]);
  if (error) return html`<main class="room"><${Wrong} text=${error} /></main>`;
  if (!there || datasets.value === null) return html`<main class="room waiting" aria-busy="true"></main>`;
  return html`<main class="room" id=${`room-${room}`}><${there} key=${room} /></main>`;
}

const Page = () => html`<${Rail} /><${Top} /><${Banner} /><${Room} /><${Tray} /><${Toast} /><${Drop} /><${Help} />`;

if (!location.hash) go({ room: ROOMS.includes(kept("room", "data")) ? kept("room", "data") : "data" }, { quietly: true });
render(html`<${Page} />`, document.body);
listen();
refresh();
watchDrops();
watchKeys();
