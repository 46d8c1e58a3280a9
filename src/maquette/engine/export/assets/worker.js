// Makes images beside the page, so that the page stays quick. The runtime stands before this in the same module.
"use strict";

let facts, session, chosen = Promise.resolve();
const streams = new Map(); // seed and stream -> normal numbers, for the last few seeds

onmessage = (message) => { chosen = chosen.then(() => answer(message.data)); };

async function answer({ id, start, wish }) {
  try {
    if (start) {
      facts = start.facts;
      ort.env.wasm.numThreads = 1;
      ort.env.wasm.wasmBinary = start.wasm;
      session = await ort.InferenceSession.create(start.model, { executionProviders: ["wasm"] });
      return postMessage({ id });
    }
    const began = performance.now();
    const pixels = await made(wish);
    postMessage({ id, pixels, seconds: (performance.now() - began) / 1000 }, [pixels.buffer]);
  } catch (error) {
    postMessage({ id, error: String(error && error.message || error) });
  }
}

// A wish: { mix: [[seed, weight]...], conditions: {name: value}, dials: {name: number}, pictures: {name: array} }
async function made(wish) {
  const feeds = {};
  const row = looked(wish);
  for (const given of facts.inputs) feeds[given.name] = tensor(given, wish, row);
  const found = await session.run(feeds);
  const image = found[facts.outputs[0]];
  const pixels = opaque(image);
  for (const one of [image, ...Object.values(feeds)]) one.dispose?.();
  return pixels;
}

function tensor(given, wish, row) {
  const shape = [1, ...given.shape];
  if (given.kind === "normal") return new ort.Tensor("float32", Float32Array.from(blend(wish.mix, given)), shape);
  if (given.kind === "uniform") {
    const [seed] = wish.mix.reduce((a, b) => (Math.abs(b[1]) > Math.abs(a[1]) ? b : a));
    const numbers = Float32Array.from(uniform(seed, given.key, size(given)), (u) => Math.min(Math.fround(u), 1 - 2 ** -24));
    return new ort.Tensor("float32", numbers, shape);
  }
  if (given.kind === "dial") return new ort.Tensor("float32", Float32Array.of(wish.dials[given.dial] ?? given.value), []);
  const { name, kind, classes, length } = given.condition;
  const value = wish.conditions[name];
  if (kind === "label") {
    const index = value === undefined ? row?.[name] ?? -1 : classes.indexOf(value);
    return new ort.Tensor("int64", BigInt64Array.of(BigInt(index)), [1]);
  }
  if (kind === "number") return new ort.Tensor("float32", Float32Array.of(value ?? NaN), [1]);
  if (kind === "text") return new ort.Tensor("uint8", letters(value ?? "", length), shape);
  const picture = wish.pictures[name];
  if (!picture) throw new Error(`choose a picture for ${name} first`);
  return new ort.Tensor(given.type, given.type === "uint16" ? Uint16Array.from(picture, (v) => v * 257) : picture.slice(), shape);
}

const size = (given) => given.shape.reduce((a, b) => a * b, 1);

// Labels that are not asked for come from a row of the training data that the seed chooses, as in `maquette sample`.
function looked({ mix, conditions }) {
  if (!facts.rows.length) return null;
  const fits = facts.rows.filter((row) => facts.labels.every(({ name, classes }) =>
    conditions[name] === undefined || classes[row[name]] === conditions[name]));
  const rows = fits.length ? fits : facts.rows;
  const [seed] = mix.reduce((a, b) => (Math.abs(b[1]) > Math.abs(a[1]) ? b : a));
  return rows[Math.floor(uniform(seed, facts.choice, 1)[0] * rows.length)];
}

// UTF-8, cut at the end of a letter and filled with zeros; rows of spaces count as one.
function letters(text, length) {
  const plain = text.replaceAll("\0", " ").split(/\s+/u).filter(Boolean).join(" ");
  const whole = new TextEncoder().encode(plain), bytes = new Uint8Array(length);
  let end = Math.min(whole.length, length);
  while (end < whole.length && end > 0 && (whole[end] & 0xc0) === 0x80) end--;
  bytes.set(whole.subarray(0, end));
  return bytes;
}

// Numbers of a mix of seeds: sum(weight * those of the seed) / sqrt(sum(weight^2)), which are normal again.
function blend(mix, given) {
  const count = size(given);
  if (mix.length === 1) return normal(mix[0][0], given.key, count);
  const length = Math.sqrt(mix.reduce((sum, [, weight]) => sum + weight * weight, 0));
  const total = new Float64Array(count);
  for (const [seed, weight] of mix) {
    const numbers = normal(seed, given.key, count), share = weight / length;
    for (let k = 0; k < count; k++) total[k] += share * numbers[k];
  }
  return total;
}

function normal(seed, key, count) {
  const name = `${seed} ${key}`;
  if (streams.has(name)) return streams.get(name);
  const half = (count + 1) >> 1, u = uniform(seed, key, 2 * half), numbers = new Float64Array(2 * half);
  for (let k = 0; k < half; k++) {
    const radius = Math.sqrt(-2 * Math.log(1 - u[k])), angle = 2 * Math.PI * u[half + k];
    numbers[k] = radius * Math.cos(angle);
    numbers[half + k] = radius * Math.sin(angle);
  }
  const kept = numbers.subarray(0, count);
  if (streams.size > 64) streams.clear();
  streams.set(name, kept);
  return kept;
}

// Philox 4x64 with ten rounds (Salmon and others, 2011), as NumPy counts it: numbers in [0, 1) from seed and key.
function uniform(seed, key, count) {
  const found = new Float64Array(count), s = BigInt(seed), k = BigInt(`0x${key}`), low = 0xffffffffn;
  const k0h = Number(s >> 32n & low), k0l = Number(s & low), k1h = Number(k >> 32n & low), k1l = Number(k & low);
  for (let at = 0, counter = 1; at < count; counter++) {
    // Four words of 64 bits, each as two halves; the counter never needs more than the lower half of the first.
    let ah = Math.floor(counter / 4294967296), al = counter >>> 0, bh = 0, bl = 0, ch = 0, cl = 0, dh = 0, dl = 0;
    let xh = k0h, xl = k0l, yh = k1h, yl = k1l;
    for (let round = 0; round < 10; round++) {
      if (round) {
        xl += 0x7f4a7c15; xh = (xh + 0x9e3779b9 + (xl > 4294967295)) >>> 0; xl >>>= 0;
        yl += 0x84caa73b; yh = (yh + 0xbb67ae85 + (yl > 4294967295)) >>> 0; yl >>>= 0;
      }
      multiply(0xd2e7470e, 0xe14c6c93, ah, al);
      const p3 = product[0], p2 = product[1], p1 = product[2], p0 = product[3];
      multiply(0xca5a8263, 0x95121157, ch, cl);
      ah = (product[0] ^ bh ^ xh) >>> 0; al = (product[1] ^ bl ^ xl) >>> 0;
      bh = product[2]; bl = product[3];
      ch = (p3 ^ dh ^ yh) >>> 0; cl = (p2 ^ dl ^ yl) >>> 0;
      dh = p1; dl = p0;
    }
    for (let word = 0; word < 4 && at < count; word++) {
      const high = word === 0 ? ah : word === 1 ? bh : word === 2 ? ch : dh;
      const lower = word === 0 ? al : word === 1 ? bl : word === 2 ? cl : dl;
      found[at++] = (high * 2097152 + (lower >>> 11)) * 2 ** -53;
    }
  }
  return found;
}

const product = new Float64Array(4);

// 64 x 64 -> 128 bits, as four words of 32 bits from the highest.
function multiply(ah, al, bh, bl) {
  const llh = upper(al, bl), lll = Math.imul(al, bl) >>> 0, lhh = upper(al, bh), lhl = Math.imul(al, bh) >>> 0;
  const hlh = upper(ah, bl), hll = Math.imul(ah, bl) >>> 0, hhh = upper(ah, bh), hhl = Math.imul(ah, bh) >>> 0;
  const second = llh + lhl + hll, third = lhh + hlh + hhl + Math.floor(second / 4294967296);
  product[3] = lll;
  product[2] = second >>> 0;
  product[1] = third >>> 0;
  product[0] = (hhh + Math.floor(third / 4294967296)) >>> 0;
}

// The upper 32 bits of a product of two words of 32 bits.
function upper(a, b) {
  const low = (a & 0xffff) * b;
  return Math.floor(((a >>> 16) * b + Math.floor(low / 65536)) / 65536);
}

// H W C of whole numbers as red, green, blue and alpha of 8 bits.
function opaque({ data, dims }) {
  const channels = dims.at(-1), count = data.length / channels, deep = data instanceof Uint16Array;
  const pixels = new Uint8ClampedArray(4 * count);
  for (let k = 0; k < count; k++) {
    for (let c = 0; c < 3; c++) {
      const value = data[k * channels + (channels > 2 ? c : 0)];
      pixels[4 * k + c] = deep ? Math.round(value / 257) : value;
    }
    pixels[4 * k + 3] = channels === 4 ? data[4 * k + 3] : 255;
  }
  return pixels;
}
