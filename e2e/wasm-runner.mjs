// Opens a page of wasm-bindgen tests in Chromium and in Firefox and tells how they went.
//
//   node e2e/wasm-runner.mjs DIR [filter=TEXT] [skip=TEXT] [exact=] [include-ignored=]
//   node e2e/wasm-runner.mjs --probe chromium|firefox      does that browser start?
//
// DIR is what `xtask wasm-test-runner` has made. SYNCLINE_CHROMIUM and SYNCLINE_FIREFOX name the browsers;
// empty or not set they mean Playwright's own.

import { appendFile, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';

import { chromium, firefox } from '@playwright/test';

const TESTS_DEADLINE_MS = 120_000;

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' };

const BROWSERS = {
  chromium: () =>
    chromium.launch({
      executablePath: process.env.SYNCLINE_CHROMIUM || undefined,
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    }),
  firefox: () => {
    const executablePath = process.env.SYNCLINE_FIREFOX;
    return firefox.launch(executablePath ? { executablePath, channel: 'moz-firefox' } : {});
  },
};

async function main([first, ...rest]) {
  if (first === '--probe') return probe(rest[0]);
  const server = await serve(path.resolve(first));
  const query = new URLSearchParams(rest.map((pair) => pair.split(/=(.*)/s).slice(0, 2)));
  const url = `http://127.0.0.1:${server.address().port}/?${query}`;
  let passed = true;
  for (const name of Object.keys(BROWSERS)) passed = (await run(name, url)) && passed;
  server.close();
  return passed;
}

async function probe(name) {
  const browser = await BROWSERS[name]();
  const page = await browser.newPage();
  const sum = await page.evaluate(() => 1 + 1);
  await browser.close();
  return sum === 2;
}

/** Runs the page in one browser and prints what it says; true when its tests have passed. */
async function run(name, url) {
  const browser = await BROWSERS[name]();
  try {
    const page = await browser.newPage();
    const log = [];
    page.on('console', (message) => log.push(message.text()));
    const broken = new Promise((_, reject) => {
      page.on('pageerror', (error) => log.push(String(error)));
      page.on('crash', () => reject(new Error('the page has crashed')));
      page.on('close', () => reject(new Error('the page was closed')));
    });
    broken.catch(() => {});
    const finished = page
      .goto(url)
      .then(() => page.waitForFunction(() => document.title === 'finished', null, { timeout: TESTS_DEADLINE_MS }));
    const problem = await Promise.race([finished, broken]).then(
      () => undefined,
      (error) => error,
    );
    const output = await page.textContent('#output').catch(() => '');
    const result = /^test result: (\w+)\. (\d+) passed; (\d+) failed/m.exec(output);
    const passed = problem === undefined && result?.[1] === 'ok' && result[3] === '0';
    console.log(`${name} ${browser.version()}`);
    console.log(output.trim());
    // a failed test has its own output above
    if (result === null) console.log([problem?.message ?? 'the page has run no tests', ...log].join('\n'));
    if (process.env.SYNCLINE_BROWSER_TESTS) {
      await appendFile(process.env.SYNCLINE_BROWSER_TESTS, `${name} ${result?.[2] ?? 0}\n`);
    }
    return passed;
  } finally {
    await browser.close();
  }
}

/** A web server for the files of one folder. */
async function serve(folder) {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const file = path.join(folder, pathname === '/' ? 'index.html' : decodeURIComponent(pathname));
    try {
      const content = await readFile(file);
      response.writeHead(200, { 'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream' });
      response.end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

try {
  process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1;
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
