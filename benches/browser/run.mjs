// Bundles the page, serves it, drives it in a headless Chromium and writes what it measured as JSON to stdout.
//
//   node run.mjs WASM_DIR [ONLY] [--quick] [--who=NAME]
//
// `SYNCLINE_CHROMIUM` names the browser; Playwright's own is taken when it is empty. `ONLY` is part of a scenario's
// name, as in `update 10000`; `--quick` takes one sample of each; `--who=NAME` measures the contenders with NAME in theirs
// only.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { chromium } from '@playwright/test';
import { build } from 'esbuild';

const [wasmDir, ...rest] = process.argv.slice(2);
const quick = rest.includes('--quick');
const only = rest.find((arg) => !arg.startsWith('--'));
const who = rest.find((arg) => arg.startsWith('--who='))?.slice('--who='.length) ?? '';

const bundle = async (contents, external = []) => {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: join(import.meta.dirname, 'page') },
    bundle: true,
    minify: true,
    format: 'esm',
    write: false,
    external,
    define: { 'process.env.NODE_ENV': '"production"' },
  });
  return outputFiles[0].contents;
};

const page = await bundle('import "./main.js"', ['/wasm/*']);
const types = { js: 'text/javascript', wasm: 'application/wasm', html: 'text/html' };
const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  const file = pathname.startsWith('/wasm/') ? readFile(join(wasmDir, pathname.slice('/wasm/'.length))) : undefined;
  const body = pathname === '/main.js' ? page : ((await file?.catch(() => undefined)) ?? '<!doctype html><script type="module" src="/main.js"></script>');
  const type = types[pathname.split('.').at(-1)] ?? types.html;
  // isolated, so that the clock ticks in microseconds
  response.writeHead(200, {
    'content-type': type,
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-embedder-policy': 'require-corp',
  });
  response.end(body);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const browser = await chromium.launch({
  executablePath: process.env.SYNCLINE_CHROMIUM || undefined,
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--js-flags=--expose-gc'],
});
try {
  const tab = await browser.newPage();
  const devtools = await tab.context().newCDPSession(tab);
  await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
  const metric = async (name) => {
    const { metrics } = await devtools.send('Performance.getMetrics');
    return metrics.find((metric) => metric.name === name).value;
  };
  await tab.exposeFunction('cpu', async () => (await metric('TaskDuration')) * 1000);
  await tab.exposeFunction('heapUsed', () => metric('JSHeapUsedSize'));
  await tab.exposeFunction('tidy', () => devtools.send('HeapProfiler.collectGarbage'));
  await tab.exposeFunction('progress', (what) => console.error(`    ${what}`));
  tab.on('pageerror', (error) => console.error(error));
  const load = async () => {
    await tab.goto(`http://127.0.0.1:${server.address().port}/`);
    await tab.waitForFunction('window.run');
  };
  await load();

  const figures = await tab.evaluate((options) => window.run(options), { only, quick, who });
  const heap = [];
  const names = only && !'heap'.includes(only) ? [] : await tab.evaluate(() => window.names);
  for (const name of names.filter((name) => name.includes(who))) {
    await load();
    heap.push(await tab.evaluate((name) => window.heap(name, 100_000), name));
  }
  const sizes = only ? [] : await downloads();
  process.stdout.write(JSON.stringify({ browser: browser.version(), figures, heap, sizes }));
} finally {
  await browser.close();
  server.close();
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
  for (const [who, source] of Object.entries(peers)) sizes.push({ who, bytes: gzipSync(await bundle(source)).length });
  const own = ['syncline_bench_browser.js', 'syncline_bench_browser_bg.wasm'];
  const bytes = await Promise.all(own.map(async (file) => gzipSync(await readFile(join(wasmDir, file))).length));
  sizes.push({ who: 'Syncline, JSON bytes', bytes: bytes.reduce((a, b) => a + b) });
  return sizes;
}
