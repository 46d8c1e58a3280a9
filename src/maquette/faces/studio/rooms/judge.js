// Judge: the grade in words, what was measured with its interval, the curve, the pictures that show it, and which model is better.
import { html, useEffect, useState } from "../base.js";
import { Bar, Button, Empty, Field, More, Wrong, useAct, useKept } from "../controls.js";
import { ask } from "../server.js";
import { ACTIVE, changed, done, go, jobs, place, run, runs, start, theRun, verb } from "../state.js";
import { Plot } from "../plot.js";
import { many, named, number, sentence, share, title, when } from "../words.js";
import { useRun } from "./train.js";

export function Room() {
  if (!theRun.value) {
    return html`<section class="surface" aria-label="Judgement"><${Empty} heading="Models are judged here" action=${html`<${Button} primary onClick=${() => go({ room: "train" })}>Train a model<//>`}>
      Is it good, is it varied, is it a copy? Measured on this computer, with intervals. There is no model yet.<//></section>`;
  }
  return place.value.view === "compare" ? html`<${Compare} />` : html`<${Judge} key=${run.value} id=${run.value} />`;
}

const reportName = (name, what) => `${named(name, what).replace(/ /g, "-")}-${what}.html`;
const reportOf = (job) => job?.files?.find((one) => one.what === "report")?.url;

/** A page of the judge inside this one. It can run nothing: it is shown as in a frame. */
function Report({ url, name }) {
  return html`<iframe class="report" src=${url} title=${name} sandbox="allow-popups" loading="lazy"></iframe>`;
}

function Judge({ id }) {
  const { facts, error } = useRun(id, changed.runs.value);
  const [values, set] = useKept("evaluate", { count: 1000 });
  const [reports, know] = useState([]);
  const name = theRun.value.name;
  const last = jobs.value.find((job) => job.verb === "evaluate" && job.values?.what === id);
  const { busy, error: wrong, press } = useAct(async () => done(await start("evaluate", { ...values, what: id, report: reportName(name, "judged") })));
  useEffect(() => {
    ask("/api/reports").then((answer) => know(answer.items ?? answer), () => {});
  }, [last?.state, changed.runs.value]);
  const found = last?.result ?? facts?.evaluation;
  const url = reportOf(last) ?? reports.find((one) => one.id === reportName(name, "judged") || `${one.id}.html` === reportName(name, "judged"))?.url;
  const settings = verb("evaluate")?.settings ?? [];
  const known = (key) => settings.find((one) => one.name === key);
  const running = last && ACTIVE.has(last.state);
  const judged = facts?.judged ?? [];
  return html`<section class="surface scrolls" aria-label="Judgement">
      <${Wrong} text=${error} />
      ${found?.metrics ? html`<${Verdict} found=${found} when=${last?.ended} />` : running ? null
        : html`<${Empty} heading="Not judged yet" action=${html`<${Button} primary aria-busy=${busy} onClick=${press}>Judge ${name}<//>`}>Draws images and holds them against real ones that the model never saw: how far they are, how varied, and whether any is a copy.<//>`}
      ${running && html`<div class="pending"><p>${sentence(last.progress?.unit ?? "It begins")}</p><${Bar} done=${last.progress?.done} total=${last.progress?.total} label="Judging" /></div>`}
      ${judged.length > 1 && html`<div class="curves"><${Plot} title="While it learned" height=${180} lines=${[{ name, x: judged.map((one) => one.images), y: judged.map((one) => one.value), low: judged.map((one) => one.low), high: judged.map((one) => one.high) }]}
        floor=${Number.isFinite(facts?.floor) ? { value: facts.floor, name: "real" } : undefined} words="distance to real images; lower is better" /></div>`}
      ${url && found?.metrics && !running && html`<${Report} key=${`${url} ${last?.ended ?? ""}`} url=${url} name=${`Pictures of the judgement of ${name}`} />`}
    </section>
    <aside class="column" aria-label="What to judge">
      <h2>${name}</h2>
      ${known("count") && html`<${Field} setting=${{ ...known("count"), default: 1000 }} name="How many images" value=${values.count} change=${(value) => set("count", value)} />`}
      <div class="act wide"><${Button} primary aria-busy=${busy || running} onClick=${press}>${found?.metrics ? "Judge again" : "Judge"}<//><${Wrong} text=${wrong || (last?.state === "failed" ? last.error : "")} /></div>
      ${runs.value.length > 1 && html`<${Button} icon="compare" onClick=${() => go({ view: "compare" })}>Compare models<//>`}
      ${url && html`<a class="button quiet" href=${url} target="_blank" rel="noreferrer">The report by itself<//>`}
      <${More} groups=${[["Judging", settings.filter((one) => !["what", "count", "report", "dials"].includes(one.name)), values, set]]} />
    </aside>`;
}

const SHOWN = ["distance", "variety", "sharpness", "coverage", "precision", "label-agreement", "copies", "duplicates"];
const SAYS = {
  distance: (value) => `${number(value)} from real images`,
  variety: (value) => `${share(value)} of what the real images show`,
  sharpness: (value) => `${share(value)} as sharp as real ones`,
  coverage: (value) => `${share(value)} of the real images have one like them`,
  precision: (value) => `${share(value)} could pass for real`,
  "label-agreement": (value) => `${share(value)} show what was asked for`,
  copies: (value) => `${share(value)} are too like one training image`,
  duplicates: (value) => `${share(value)} are like one another`,
};

/** How the ends of the interval are written: shares as the value itself is. */
const ends = (name) => (["variety", "sharpness", "coverage", "precision", "label-agreement", "copies", "duplicates"].includes(name) ? share : number);

function Verdict({ found, when: ended }) {
  const shown = SHOWN.filter((name) => found.metrics[name] && Number.isFinite(found.metrics[name].value));
  return html`<div class="verdict"><h2>${title(found.grade ?? "Judged")}</h2>
      <ul>${(found.said ?? []).map((one) => html`<li key=${one}>${sentence(one)}</li>`)}</ul>
      <p class="soft">${[found.basis?.["made images"] && `${found.basis["made images"]} made images against ${found.basis["held-out images"]} held-out ones`, ended && when(ended)].filter(Boolean).join(", ")}</p></div>
    <dl class="measures">${shown.map((name) => html`<${Measure} key=${name} name=${name} one=${found.metrics[name]} />`)}</dl>
    ${found.copied?.length > 0 && html`<p class="copied">${many(found.copied.length, "image")} too like a training image: ${found.copied.slice(0, 12).join(", ")}. They stand beside their originals in the report below.</p>`}`;
}

/** One measure: the words, a line with its interval, and where real images are. */
function Measure({ name, one }) {
  const real = one.anchors?.["held-out"];
  const most = Math.max(...[one.high, one.value, real, one.anchors?.blurred].filter(Number.isFinite), 1e-9) * 1.05;
  const at_ = (value) => `${Math.max(0, Math.min(100, (value / most) * 100))}%`;
  const [low, high] = [one.low ?? one.value, one.high ?? one.value];
  const write = ends(name);
  const said = `between ${write(low)} and ${write(high)}${Number.isFinite(real) ? `; real images: ${write(real)}` : ""}`;
  return html`<div><dt>${title(name)}</dt><dd>
    <b>${(SAYS[name] ?? number)(one.value)}</b>
    <div class="interval" role="img" aria-label=${said}>
      <span class="span" style=${{ left: at_(low), width: `max(2px, calc(${at_(high)} - ${at_(low)}))` }}></span><span class="point" style=${{ left: at_(one.value) }}></span>
      ${Number.isFinite(real) && html`<span class="real" style=${{ left: at_(real) }}></span>`}</div>
    <span class="soft">${said}</span></dd></div>`;
}

function Compare() {
  const same = runs.value.filter((one) => one.makes);
  const [picked, pick] = useState(() => [...new Set([run.value, ...same.filter((one) => one.dataset === theRun.value?.dataset).map((one) => one.id)])].slice(0, 2));
  const [count, set] = useState(500);
  const last = jobs.value.find((job) => job.verb === "compare" && [...(job.values?.what ?? [])].sort().join() === [...picked].sort().join());
  const { busy, error, press } = useAct(async () => done(await start("compare", { what: picked, count, report: reportName(picked.join("-"), "compared") })));
  const running = last && ACTIVE.has(last.state);
  const ranking = last?.result?.ranking;
  const most = ranking ? Math.max(...ranking.map((one) => one.high), 1e-9) : 1;
  const url = reportOf(last);
  return html`<section class="surface scrolls" aria-label="Comparison">
      ${ranking ? html`<div class="verdict"><h2>${sentence(last.summary) || `Best: ${ranking[0].what}`}</h2><p class="soft">By ${String(last.result.measure).replace(/-/g, " ")}; lower is better. The same seeds of every model.</p></div>
          <dl class="measures one">${ranking.map((one) => html`<div key=${one.what}><dt>${one.what}</dt><dd><b>${number(one.value)}</b>
            <div class="interval" role="img" aria-label=${`between ${number(one.low)} and ${number(one.high)}`}><span class="span" style=${{ left: `${(Math.max(0, one.low) / most) * 100}%`, width: `max(2px, ${((one.high - Math.max(0, one.low)) / most) * 100}%)` }}></span><span class="point" style=${{ left: `${(one.value / most) * 100}%` }}></span></div>
            <span class="soft">${one.worse ? "surely worse than the best" : one === ranking[0] ? "the best" : "perhaps as good"}</span></dd></div>`)}</dl>`
        : running ? html`<div class="pending"><p>${sentence(last.progress?.unit ?? "It begins")}</p><${Bar} done=${last.progress?.done} total=${last.progress?.total} label="Comparing" /></div>`
        : html`<${Empty} heading="Which is better?" action=${html`<${Button} primary disabled=${picked.length < 2} aria-busy=${busy} onClick=${press}>Compare ${many(picked.length, "model")}<//>`}>Every model draws the same seeds and is held against the same real images, so that differences are surer than the figures themselves.<//>`}
      ${url && ranking && html`<${Report} key=${`${url} ${last.ended}`} url=${url} name="The same seeds side by side" />`}
    </section>
    <aside class="column" aria-label="Models to compare">
      <h2>Models</h2>
      <fieldset class="ticks"><legend>Compare</legend>${same.map((one) => html`<label key=${one.id}><input type="checkbox" checked=${picked.includes(one.id)}
        onChange=${(event) => pick(event.target.checked ? [...picked, one.id] : picked.filter((other) => other !== one.id))} />${one.name}</label>`)}</fieldset>
      <${Field} name="How many images of each" hint=${false} setting=${{ name: "count", kind: "integer", default: 500, bounds: { ge: 20, le: 100000 } }} value=${count} change=${(value) => set(value ?? 500)} />
      <div class="act wide"><${Button} primary aria-busy=${busy || running} disabled=${picked.length < 2} onClick=${press}>Compare<//><${Wrong} text=${error} /></div>
      <${Button} quiet onClick=${() => go({ view: undefined })}>Judge one model<//>
    </aside>`;
}

