// What map.js does, by hand in Rust, and called once for all messages: the least that a store in wasm can take.
import init, { ByHand, Row } from '/wasm/syncline_bench_browser.js';

const utf8 = new TextEncoder();
const binary = (text) => utf8.encode(text).slice().buffer;
let ready;

export const name = 'wasm by hand';
export const snapshotMessages = (chunks) => chunks.map((rows) => binary(`[${rows.join(',')}]`));
export const putMessage = (_version, row) => binary(row);
export const removeMessage = (_version, id) => binary(JSON.stringify({ id }));
export const confirmMessage = putMessage;
export const ownRow = (row) => new Row(JSON.stringify(row));

export async function prepare() {
  ready ??= init();
  return { memory: (await ready).memory };
}

export async function make() {
  const store = new ByHand();
  return {
    snapshot: async (messages) => store.snapshot(messages),
    putEach: async (messages) => store.put(messages),
    removeEach: async (messages) => store.remove(messages),
    optimisticEach: async (rows, confirmations) => store.optimistic(rows, confirmations),
    told: () => store.told(),
    rows: () => JSON.parse(store.rows()),
    async close() {
      store.free();
    },
  };
}
