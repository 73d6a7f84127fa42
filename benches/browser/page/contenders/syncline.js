// Syncline's store behind a connection in memory: the client, its driver task, and what a hook stands on.
import init, { Row, Store } from '/wasm/syncline_bench_browser.js';
import { changesFrame, packedFrames, snapshotFrames } from '../rows.js';

let ready;

// `encode` makes of a frame's text what the connection would give: a text, or an ArrayBuffer.
const contender = (name, encode) => ({
  name,
  replays: 'tied',
  async prepare() {
    ready ??= init();
    const exports = await ready;
    return { memory: exports.memory };
  },
  snapshotMessages: (chunks, count) => snapshotFrames(chunks, count).map(encode),
  putMessage: (version, row) => encode(changesFrame(version, { put: [0] }, [row])),
  removeMessage: (version, id) => encode(changesFrame(version, { del: [id] })),
  // what a person makes, as the language of the store has it
  ownRow: (row) => new Row(JSON.stringify(row)),
  confirmMessage: (version, row, write) =>
    encode(changesFrame(version, { put: [0] }, [row], [{ client: 'bench-client', id: write }])),
  save: (name, chunks, count) => Store.keep(name, snapshotFrames(chunks, count).map(encode)),
  start: async (name, count) => handle(await Store.start(name, count)),
  make: async () => handle(await Store.open()),
});

const handle = (store) => ({
  snapshot: (frames) => store.snapshot(frames),
  putEach: (frames) => store.feed(frames),
  removeEach: (frames) => store.feed(frames),
  optimisticEach: (rows, confirmations) => store.write(rows, confirmations),
  act: (actions) => store.act(actions.map((action) => JSON.stringify(action))),
  told: () => store.told(),
  rows: () => JSON.parse(store.rows()),
  async close() {
    store.close();
  },
});

const utf8 = new TextEncoder();
export const text = contender('Syncline, JSON text', (frame) => frame);
const binary = (bytes) => bytes.slice().buffer;
export const bytes = contender('Syncline, JSON bytes', (frame) => binary(utf8.encode(frame)));
export const packed = {
  ...bytes,
  name: 'Syncline, packed',
  snapshotMessages: (chunks, count) => packedFrames(chunks, count).map(binary),
};
