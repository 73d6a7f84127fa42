// A page bundled, served, and opened in a headless Chromium whose clocks can be read.
//
// `SYNCLINE_CHROMIUM` names the browser; Playwright's own is taken when it is empty.
import { createServer } from 'node:http';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { chromium } from '@playwright/test';
import { build } from 'esbuild';

// What a page's script and all it imports come to. What is in /wasm stays outside.
export async function bundle(contents, resolveDir) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir },
    bundle: true,
    minify: true,
    format: 'esm',
    write: false,
    external: ['/wasm/*'],
    define: { 'process.env.NODE_ENV': '"production"' },
  });
  return outputFiles[0].contents;
}

const types = { js: 'text/javascript', wasm: 'application/wasm', html: 'text/html' };

// Serves a page whose script is `page`, with the files of `wasmDir` in /wasm.
export async function serve(page, wasmDir) {
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
  return server;
}

// Runs `drive` with a tab that has the page's functions: what it measures is asked of the browser.
export async function measure(server, drive) {
  // with a profile, so that what is stored is on disk
  const profile = await mkdtemp(join(tmpdir(), 'syncline-bench-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.SYNCLINE_CHROMIUM || undefined,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--js-flags=--expose-gc'],
  });
  try {
    const tab = context.pages()[0] ?? (await context.newPage());
    const devtools = await context.newCDPSession(tab);
    await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
    const metrics = async (...names) => {
      const { metrics } = await devtools.send('Performance.getMetrics');
      return names.map((name) => metrics.find((metric) => metric.name === name).value);
    };
    await tab.exposeFunction('metrics', metrics);
    await tab.exposeFunction('tidy', () => devtools.send('HeapProfiler.collectGarbage'));
    await tab.exposeFunction('progress', (what) => console.error(`    ${what}`));
    tab.on('pageerror', (error) => console.error(error));
    const load = async (host = '127.0.0.1') => {
      await tab.goto(`http://${host}:${server.address().port}/`);
      await tab.waitForFunction('window.run');
    };
    return { browser: context.browser()?.version() ?? '', ...(await drive(tab, load)) };
  } finally {
    await context.close();
    server.close();
    await rm(profile, { recursive: true, force: true });
  }
}
