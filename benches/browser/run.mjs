// Bundles the page, serves it, drives it in a headless Chromium and writes what it measured as JSON to stdout.
//
//   node run.mjs WASM_DIR [ONLY] [--quick] [--who=NAME]
//
// `ONLY` is part of a scenario's name, as in `update 10000`; `--quick` takes one sample of each; `--who=NAME` measures the
// contenders with NAME in theirs only.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { bundle, measure, serve } from './harness.mjs';

const [wasmDir, ...rest] = process.argv.slice(2);
const quick = rest.includes('--quick');
const only = rest.find((arg) => !arg.startsWith('--'));
const named = rest.filter((arg) => arg.startsWith('--who=')).map((arg) => arg.slice('--who='.length));
const who = named.length > 0 ? named : [''];

const page = join(import.meta.dirname, 'page');
const server = await serve(await bundle('import "./main.js"', page), wasmDir);
const measured = await measure(server, async (tab, load) => {
  await load();
  const figures = await tab.evaluate((options) => window.run(options), { only, quick, who });
  const heap = [];
  const names = (await tab.evaluate(() => window.names)).filter((name) => who.some((part) => name.includes(part)));
  for (const name of only && !'heap'.includes(only) ? [] : names) {
    await load();
    heap.push(await tab.evaluate((name) => window.heap(name, 100_000), name));
  }
  figures.push(...(await coldStarts(tab, load, names)));
  return { figures, heap, sizes: only ? [] : await downloads() };
});
process.stdout.write(JSON.stringify(measured));

// What a visit has kept is on the screen of the next one. Each contender has an origin of its own, as an application has: a
// browser keeps all databases of an origin together.
async function coldStarts(tab, load, names) {
  const [what, count, rounds] = ['cold start', 10_000, quick ? 1 : 11];
  if (only && !`${what} ${count}`.includes(only)) return [];
  const samples = new Map(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [place, name] of names.entries()) {
      const host = `contender-${place}-${round}.localhost`;
      await load(host);
      if (!(await tab.evaluate(([name, count]) => window.keep(name, count), [name, count]))) continue;
      await load(host);
      samples.get(name).push(await tab.evaluate(([name, count]) => window.comeBack(name, count), [name, count]));
    }
  }
  console.error(`    ${what} ${count}`);
  const measured = [...samples].filter(([, values]) => values.length > 0);
  return measured.map(([who, values]) => ({ what: `${what} ${count}`, who, per: 1, values }));
}

// What each contender adds to a page, compressed.
async function downloads() {
  const peers = {
    'Replicache, watch': 'import { Replicache } from "replicache"; console.log(Replicache)',
    'TanStack DB, toArray':
      'import { createCollection, createLiveQueryCollection } from "@tanstack/db"; console.log(createCollection, createLiveQueryCollection)',
    TinyBase: 'import { createStore } from "tinybase"; console.log(createStore)',
  };
  const sizes = [];
  for (const [who, source] of Object.entries(peers)) sizes.push({ who, bytes: gzipSync(await bundle(source, page)).length });
  const own = ['syncline_bench_browser.js', 'syncline_bench_browser_bg.wasm'];
  const bytes = await Promise.all(own.map(async (file) => gzipSync(await readFile(join(wasmDir, file))).length));
  sizes.push({ who: 'Syncline, JSON bytes', bytes: bytes.reduce((a, b) => a + b) });
  return sizes;
}
