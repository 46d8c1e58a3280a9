// Two other readers of C2PA, for benchmarks/trust.py: one JSON line for each file that is named on standard input.
//
//   npm install @contentauth/c2pa-wasm @trustnxt/c2pa-ts      (anywhere; they are no part of Maquette)
//   node benchmarks/readers.mjs FOLDER < files.jsonl
//
// The first is the WebAssembly build for browsers; the second is written in TypeScript and shares no code with the
// library that signs, but reads PNG, JPEG and HEIF-like files only.

import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import path from 'node:path';

const folder = path.join(path.resolve(process.argv[2]), 'node_modules');
const load = (part) => import(pathToFileURL(path.join(folder, '@trustnxt/c2pa-ts/dist', part, 'index.js')).href);
const wasm = await import(pathToFileURL(path.join(folder, '@contentauth/c2pa-wasm/pkg/c2pa.js')).href);
wasm.initSync({ module: await readFile(path.join(folder, '@contentauth/c2pa-wasm/pkg/c2pa_bg.wasm')) });
const { JPEG, PNG, BMFF } = await load('asset');
const { SuperBox } = await load('jumbf');
const { ManifestStore } = await load('manifest');

async function second(bytes) {
    const Kind = [JPEG, PNG, BMFF].find((kind) => kind.canRead(bytes));
    if (!Kind) return 'unsupported';
    try {
        const asset = new Kind(bytes);
        const found = await ManifestStore.read(SuperBox.fromBuffer(asset.getManifestJUMBF())).validate(asset);
        const failed = found.statusEntries.filter((one) => one.success === false).map((one) => one.code);
        // It keeps no list of trusted authorities; everything else must hold.
        const wrong = failed.filter((code) => code !== 'signingCredential.untrusted');
        return wrong.length ? wrong.join(' ') : 'valid';
    } catch (error) {
        return `error: ${error.message}`;
    }
}

async function first(bytes, media, anchor) {
    try {
        const settings = JSON.stringify({ version: 1, trust: { user_anchors: anchor }, verify: { remote_manifest_fetch: false } });
        const reader = await wasm.WasmReader.fromBytes(media, bytes, settings);
        const told = JSON.parse(reader.json());
        reader.free();
        return told.validation_state;
    } catch (error) {
        return `error: ${error.message ?? error}`;
    }
}

for await (const line of createInterface({ input: process.stdin })) {
    const { file, media, anchor } = JSON.parse(line);
    const bytes = new Uint8Array(await readFile(file));
    console.log(JSON.stringify({ file, first: await first(bytes, media, anchor), second: await second(bytes) }));
}
