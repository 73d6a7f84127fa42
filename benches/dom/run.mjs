// Bundles the page, serves it, drives it in a headless Chromium and writes what it measured as JSON to stdout.
//
//   node run.mjs WASM_DIR [--quick]
//
// Each contender has a page of its own, by turns; `--quick` takes one sample of each.
import { join } from 'node:path';

import { bundle, measure, serve } from '../browser/harness.mjs';

const [wasmDir, ...rest] = process.argv.slice(2);
const rounds = rest.includes('--quick') ? 1 : 7;

const server = await serve(await bundle('import "./main.js"', join(import.meta.dirname, 'page')), wasmDir);
const measured = await measure(server, async (tab, load) => {
  await load();
  const names = await tab.evaluate(() => window.names);
  const figures = new Map();
  for (let round = 1; round <= rounds; round++) {
    for (const who of names) {
      await load();
      for (const { what, per, sample } of await tab.evaluate((who) => window.run(who), who)) {
        const key = `${what}\0${who}`;
        if (!figures.has(key)) figures.set(key, { what, who, per, values: [] });
        figures.get(key).values.push(sample);
      }
    }
    console.error(`    round ${round} of ${rounds}`);
  }
  return { figures: [...figures.values()] };
});
process.stdout.write(JSON.stringify(measured));
