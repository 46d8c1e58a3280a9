"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const facts = JSON.parse($("facts").textContent);
  const { height, width } = facts.form;
  const MOST = 2n ** 63n - 1n;
  const conditions = facts.inputs.filter((given) => given.kind === "condition").map((given) => given.condition);
  const dials = facts.inputs.filter((given) => given.kind === "dial");
  const asked = {}, turned = {}, pictures = {}; // what stands in the form
  const waiting = new Map();
  let worker, calls = 0, round = 0, shown = [], at = 0;

  // Parts of the page are packed: base 64 of gzip.
  async function unpacked(id) {
    const text = $(id).textContent, raw = atob(text), packed = new Uint8Array(raw.length);
    $(id).remove();
    for (let k = 0; k < raw.length; k++) packed[k] = raw.charCodeAt(k);
    return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  }

  async function start() {
    if (!("DecompressionStream" in window && "WebAssembly" in window)) {
      throw new Error("this browser is too old to run a model: open the page in a newer one");
    }
    const [code, wasm, model] = await Promise.all([unpacked("worker"), unpacked("runtime"), unpacked("model")]);
    const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    worker = new Worker(address);
    worker.onmessage = ({ data }) => {
      const { done, fail } = waiting.get(data.id);
      waiting.delete(data.id);
      if (data.error) fail(new Error(data.error)); else done(data);
    };
    worker.onerror = (event) => fail(new Error(`the model cannot be run in this browser (${event.message || "its program was refused"})`));
    const { inputs, outputs, rows, labels, choice } = facts;
    await call({ start: { wasm, model, facts: { inputs, outputs, rows, labels, choice } } }, [wasm, model]);
  }

  function call(message, moved = []) {
    return new Promise((done, fail) => {
      const id = ++calls;
      waiting.set(id, { done, fail });
      worker.postMessage({ id, ...message }, moved);
    });
  }

  function wish(mix) {
    return { mix, conditions: { ...asked }, dials: { ...turned }, pictures: { ...pictures } };
  }

  // The form

  function field(parent, name, words, control, help = "") {
    const box = document.createElement("div"), label = document.createElement("label");
    box.className = "field";
    control.id = label.htmlFor = `${parent}-${name.replace(/\W+/g, "-")}`;
    label.append(words);
    box.append(label, control);
    if (help) {
      const text = Object.assign(document.createElement("p"), { className: "help", id: `${control.id}-help`, textContent: help });
      control.setAttribute("aria-describedby", text.id);
      box.append(text);
    }
    $(parent).append(box);
    return label;
  }

  function slider(parent, name, low, high, value, help, change) {
    const control = Object.assign(document.createElement("input"), { type: "range", min: low, max: high, step: (high - low) / 100 || 1 });
    const output = document.createElement("output");
    control.value = value;
    const told = () => { output.textContent = ` ${Number(Number(control.value).toPrecision(3))}`; };
    field(parent, name, plain(name), control, help).append(output);
    told();
    control.addEventListener("input", () => { told(); change(Number(control.value)); later(); });
    return Number(control.value);
  }

  const plain = (name) => { const words = name.replaceAll("_", " "); return words[0].toUpperCase() + words.slice(1); };

  function form() {
    for (const { name, kind, classes, low, high, length, mode } of conditions) {
      if (kind === "label") {
        const control = document.createElement("select");
        control.append(new Option("any, as in training", ""), ...classes.map((word) => new Option(word, ` ${word}`)));
        field("asked", name, plain(name), control);
        control.addEventListener("change", () => {
          if (control.value) asked[name] = control.value.slice(1); else delete asked[name];
          again();
        });
      } else if (kind === "number") {
        asked[name] = slider("asked", name, low, high, (low + high) / 2, "", (value) => { asked[name] = value; });
      } else if (kind === "text") {
        const control = Object.assign(document.createElement("input"), { type: "text", maxLength: length });
        field("asked", name, plain(name), control, "In words such as those the model learned from.");
        control.addEventListener("input", () => { asked[name] = control.value; later(); });
      } else {
        const control = Object.assign(document.createElement("input"), { type: "file", accept: "image/*" });
        field("asked", name, plain(name), control, `A picture; its middle is used, at ${width} x ${height} pixels.`);
        control.addEventListener("change", async () => {
          try {
            pictures[name] = await read(control.files[0], mode);
            again();
          } catch { fail(new Error("this file cannot be read as a picture: choose another")); }
        });
      }
    }
    for (const { dial, help, value, bounds } of dials) {
      slider("dials", dial, bounds.ge ?? 0, bounds.le ?? 4, value, `${help[0].toUpperCase()}${help.slice(1)}.`, (to) => { turned[dial] = to; });
    }
    if (!facts.inputs.some(({ kind }) => kind === "normal" || kind === "uniform")) { // one answer to one picture
      $("count").value = "1";
      for (const id of ["seed", "count"]) $(id).closest(".field").hidden = true;
    }
    $("controls").addEventListener("submit", (event) => event.preventDefault());
    $("seed").addEventListener("input", later);
    $("count").addEventListener("change", again);
    $("fresh").addEventListener("click", fresh);
  }

  // The pixels of a file, H W C, its middle as large as the model's images.
  async function read(file, mode) {
    const bitmap = await createImageBitmap(file), canvas = Object.assign(document.createElement("canvas"), { width, height });
    const scale = Math.max(width / bitmap.width, height / bitmap.height), pen = canvas.getContext("2d");
    const [w, h] = [bitmap.width * scale, bitmap.height * scale];
    pen.imageSmoothingQuality = "high";
    pen.drawImage(bitmap, (width - w) / 2, (height - h) / 2, w, h);
    const data = pen.getImageData(0, 0, width, height).data, channels = { grey: 1, grey16: 1, rgb: 3, rgba: 4 }[mode];
    const pixels = new Uint8Array(width * height * channels);
    for (let k = 0; k < width * height; k++) {
      const [r, g, b, a] = data.subarray(4 * k, 4 * k + 4);
      if (channels === 1) pixels[k] = Math.round(0.2126 * r + 0.7152 * g + 0.0722 * b);
      else pixels.set([r, g, b, a].slice(0, channels), channels * k);
    }
    return pixels;
  }

  function seed() {
    const text = $("seed").value.trim();
    if (!/^\d{1,19}$/.test(text) || BigInt(text) > MOST - 63n) throw new Error(`a seed is a whole number from 0 to ${MOST - 63n}`);
    return BigInt(text);
  }

  function fresh() {
    $("seed").value = String(crypto.getRandomValues(new Uint32Array(1))[0] % 1000000);
    again();
  }

  let timer;
  function later() { clearTimeout(timer); timer = setTimeout(again, 250); }

  function fail(error) {
    $("error").textContent = `${error.message[0].toUpperCase()}${error.message.slice(1)}.`;
    $("error").hidden = false;
    $("status").textContent = "";
  }

  // The wall

  async function again() {
    clearTimeout(timer);
    if (!worker) return;
    const turn = ++round, count = Number($("count").value);
    try {
      const first = seed();
      $("error").hidden = true;
      if (conditions.some(({ name, kind }) => kind === "image" && !pictures[name])) {
        $("status").textContent = "Choose a picture to begin";
        return;
      }
      const seeds = Array.from({ length: count }, (_, k) => String(first + BigInt(k)));
      room(seeds);
      $("command").textContent = command(first, count);
      const began = performance.now();
      for (let k = 0; k < count; k++) {
        const { pixels } = await call({ wish: wish([[seeds[k], 1]]) });
        if (turn !== round) return;
        draw(shown[k].canvas, pixels);
        $("progress").value = (k + 1) / count;
        if (!facts.first) { facts.first = performance.now() / 1000; document.documentElement.dataset.first = facts.first.toFixed(3); }
        if (k + 1 < count) $("status").textContent = `${k + 1} of ${count}`;
      }
      const seconds = (performance.now() - began) / 1000;
      $("status").textContent = `${count} ${count === 1 ? "image" : "images"} in ${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
      $("save-all").disabled = false;
      document.documentElement.dataset.done = String(turn);
      if (facts.walk) await walk();
    } catch (error) { if (turn === round) fail(error); }
  }

  function room(seeds) {
    const wall = $("wall");
    while (shown.length > seeds.length) shown.pop().item.remove();
    while (shown.length < seeds.length) {
      const item = document.createElement("li"), button = document.createElement("button"), number = shown.length;
      const canvas = Object.assign(document.createElement("canvas"), { width, height }), words = document.createElement("span");
      canvas.setAttribute("aria-hidden", "true");
      canvas.className = "waiting";
      button.type = "button";
      button.append(canvas, words);
      button.addEventListener("click", () => open(number));
      button.addEventListener("focus", () => { at = number; });
      item.append(button);
      wall.append(item);
      shown.push({ item, button, canvas, words });
    }
    seeds.forEach((seed, k) => {
      shown[k].seed = seed;
      shown[k].words.textContent = seed;
      shown[k].button.setAttribute("aria-label", `image of seed ${seed}`);
    });
    $("save-all").disabled = true;
    $("progress").value = 0;
  }

  function draw(canvas, pixels) {
    canvas.width = width;
    canvas.height = height;
    canvas.className = facts.form.mode === "rgba" ? "clear" : "";
    canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  }

  function open(number) {
    at = number;
    const { seed, canvas } = shown[number], large = $("large-image");
    $("large-title").textContent = `Seed ${seed}`;
    large.setAttribute("aria-label", `image of seed ${seed}`);
    Object.assign(large, { width, height, className: canvas.className });
    large.getContext("2d").drawImage(canvas, 0, 0);
    if (!$("large").open) $("large").showModal();
  }

  function step(by) {
    const to = Math.min(shown.length - 1, Math.max(0, at + by));
    if ($("large").open) open(to); else shown[to].button.focus();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=range]), select")) return;
    const inWall = $("large").open || event.target.closest("#wall");
    const columns = Math.max(1, Math.round($("wall").clientWidth / ((shown[0]?.item.offsetWidth || 1) + 8)));
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (by && inWall) { event.preventDefault(); step(by); }
    if (event.key === "n" || event.key === "N") fresh();
    if ((event.key === "s" || event.key === "S") && shown[at]) keep(shown[at].canvas, `seed-${shown[at].seed}.png`, `seed ${shown[at].seed}`);
  });

  // Walking between seeds

  let walking = false, goal = false;

  function mix() {
    const first = seed(), x = Number($("across").value), y = Number($("down").value), far = Math.hypot(x, y);
    const turn = Math.min(1, far) * Math.PI / 2, share = far ? Math.sin(turn) / far : 0;
    return [[String(first), Math.cos(turn)], [String(first + 1n), share * x], [String(first + 2n), share * y]].filter(([, w]) => Math.abs(w) > 1e-9);
  }

  async function walk() {
    $("plane").hidden = false;
    if (walking) { goal = true; return; }
    walking = true;
    do {
      goal = false;
      const now = mix(), { pixels } = await call({ wish: wish(now) });
      draw($("walk"), pixels);
      $("across-seed").textContent = String(seed() + 1n);
      $("down-seed").textContent = String(seed() + 2n);
      $("mixed").textContent = now.map(([seed, weight]) => `${weight.toFixed(2)} of seed ${seed}`).join(", ");
    } while (goal);
    walking = false;
  }

  function plane() {
    const pad = $("walk");
    const move = (event) => {
      const box = pad.getBoundingClientRect();
      $("across").value = 2 * (event.clientX - box.left) / box.width - 1;
      $("down").value = 2 * (event.clientY - box.top) / box.height - 1;
      walk().catch(fail);
    };
    pad.addEventListener("pointerdown", (event) => { pad.setPointerCapture(event.pointerId); move(event); });
    pad.addEventListener("pointermove", (event) => { if (event.buttons) move(event); });
    for (const id of ["across", "down"]) $(id).addEventListener("input", () => walk().catch(fail));
    $("back").addEventListener("click", () => { $("across").value = $("down").value = 0; walk().catch(fail); });
    $("save-walk").addEventListener("click", () => keep(pad, "between-seeds.png", mix().map(([s, w]) => `${w.toFixed(6)} x ${s}`).join(" + ")));
  }

  // Saving

  const shell = (word) => (/^[\w.,:=+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

  function command(first, count) {
    const words = ["maquette", "sample", shell(facts.name), "--seed", String(first), "--count", String(count)];
    for (const { name, kind } of conditions) {
      if (kind === "label" && asked[name] !== undefined) words.push("--label", shell(facts.labels.length > 1 ? `${name}=${asked[name]}` : asked[name]));
      if (kind === "number") words.push("--number", shell(`${name}=${asked[name]}`));
      if (kind === "text" && asked[name]) words.push("--text", shell(asked[name]));
      if (kind === "image") words.push("--image", "FILE");
    }
    for (const { dial, value } of dials) {
      const now = turned[dial] ?? value;
      if (now !== facts.usual[dial]) words.push(`--${dial.replaceAll("_", "-")}`, String(now));
    }
    for (const [dial, value] of Object.entries(facts.fixed)) words.push(`--${dial.replaceAll("_", "-")}`, shell(String(value)));
    return words.join(" ");
  }

  async function keep(canvas, name, what) {
    const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
    const said = `${facts.name}, ${what}; made in a page by the model ${facts.model}; not signed`;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([noted(new Uint8Array(await blob.arrayBuffer()), said)], { type: "image/png" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // A PNG that says what it is: in words, and in the term by which programs know images that a model made.
  function noted(file, said) {
    const encoder = new TextEncoder(), zeros = "\0\0\0\0";
    const xmp = `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/></rdf:RDF></x:xmpmeta>`;
    const parts = [`Description${zeros}\0${said}`, `XML:com.adobe.xmp${zeros}\0${xmp}`].map((text) => chunk("iTXt", encoder.encode(text)));
    return new Blob([file.subarray(0, 33), ...parts, file.subarray(33)]); // behind signature and header
  }

  function chunk(kind, content) {
    const found = new Uint8Array(12 + content.length), view = new DataView(found.buffer);
    view.setUint32(0, content.length);
    found.set(new TextEncoder().encode(kind), 4);
    found.set(content, 8);
    let sum = 0xffffffff;
    for (const byte of found.subarray(4, -4)) {
      sum ^= byte;
      for (let k = 0; k < 8; k++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
    }
    view.setUint32(8 + content.length, (sum ^ 0xffffffff) >>> 0);
    return found;
  }

  function sheet() {
    const columns = Math.ceil(Math.sqrt(shown.length)), rows = Math.ceil(shown.length / columns);
    const canvas = Object.assign(document.createElement("canvas"), { width: columns * width, height: rows * height });
    shown.forEach(({ canvas: image }, k) => canvas.getContext("2d").drawImage(image, (k % columns) * width, Math.floor(k / columns) * height));
    return canvas;
  }

  $("save-all").addEventListener("click", () => keep(sheet(), "sheet.png", `seeds ${shown[0].seed} to ${shown.at(-1).seed}`));
  $("save-one").addEventListener("click", () => keep(shown[at].canvas, `seed-${shown[at].seed}.png`, `seed ${shown[at].seed}`));
  $("begin").addEventListener("click", () => { $("seed").value = shown[at].seed; $("large").close(); again(); });
  $("close").addEventListener("click", () => $("large").close());
  $("large").addEventListener("close", () => shown[at]?.button.focus());
  const large = width >= 200 ? width : Math.max(96, width * Math.ceil(96 / width));
  $("wall").style.setProperty("--side", `${Math.min(large, 320)}px`);
  Object.assign($("walk"), { width, height });
  form();
  plane();
  start().then(again).catch(fail);
})();
