// Runs every scenario with every contender, in turns, and checks each result row by row against a model.
import { action, perform } from './actions.js';
import * as byHand from './contenders/by_hand.js';
import * as map from './contenders/map.js';
import * as replicache from './contenders/replicache.js';
import * as syncline from './contenders/syncline.js';
import * as tanstack from './contenders/tanstack.js';
import * as tinybase from './contenders/tinybase.js';
import { chunks, item, newestFirst } from './rows.js';

// A store in JavaScript takes message after message; one in wasm is handed all of them at once, to take one after the
// other, so that neither is charged for the other's way of being called.
const each = (store) => ({
  ...store,
  async putEach(messages) {
    for (const message of messages) await store.put(message);
  },
  async removeEach(messages) {
    for (const message of messages) await store.remove(message);
  },
  async optimisticEach(rows, confirmations) {
    for (const [index, row] of rows.entries()) await store.optimistic(row, confirmations[index]);
  },
});

const peer = (contender) => ({
  snapshotMessages: (chunks) => chunks.map((rows) => `[${rows.join(',')}]`),
  putMessage: (_version, row) => row,
  removeMessage: (_version, id) => JSON.stringify({ id }),
  confirmMessage: (_version, row) => row,
  ownRow: (row) => row,
  async prepare() {},
  ...contender,
  make: async () => each(await contender.make()),
});

const contenders = [
  peer(map),
  byHand,
  syncline.text,
  syncline.bytes,
  syncline.packed,
  peer(replicache),
  peer(tanstack.toArray),
  peer(tanstack.changes),
  peer(tinybase),
];

const CHANGES = 1000;
// actions that are replayed in one sample, by as many changes as that takes
const REPLAYED = 20_000;
// a prime step visits rows all over the list
const STEP = 7919;

function check(what, store, expected) {
  const rows = store.rows();
  if (rows.length !== expected.length) throw new Error(`${what}: ${rows.length} rows for ${expected.length}`);
  expected.forEach((want, index) => {
    for (const [field, value] of Object.entries(want)) {
      if (rows[index][field] !== value) {
        throw new Error(`${what}: row ${index}, ${field}: ${rows[index][field]} for ${value}`);
      }
    }
  });
}

async function filled(contender, count) {
  const store = await contender.make();
  await store.snapshot(contender.snapshotMessages(chunks(count), count));
  const model = new Map(Array.from({ length: count }, (_, number) => [item(number).id, item(number)]));
  return { store, model };
}

const ordered = (model) => [...model.values()].sort(newestFirst);

// Actions that nobody has answered, over rows that somebody else changes: the row that all the actions look at, so that
// all of them are replayed and whatever they have made is another row; then rows that none has to do with.
//
// A contender that has actions says what a change makes it `replay`: those that are `tied` to it, or `all` of them; one
// that replays all of them in either case is asked as seldom in both.
const replay = (pending) => (count) => async (contender, timed) => {
  if (!contender.replays) return;
  const { store, model } = await filled(contender, count);
  const row = (number, revision = 0) => item((number * STEP) % count, revision);
  const actions = Array.from({ length: pending }, (_, index) => action(index + 1, row(index + 1)));
  const expected = () => {
    const rows = new Map(model);
    for (const one of actions) perform(rows, one);
    return ordered(rows);
  };
  await store.act(actions);
  check('actions', store, expected());
  let version = 0;
  const change = async (part, rows, toldOf) => {
    const messages = rows.map((row) => {
      model.set(row.id, row);
      return contender.putMessage(++version, JSON.stringify(row));
    });
    const before = store.told();
    await timed(() => store.putEach(messages), { part, per: rows.length });
    const told = store.told() - before;
    if (told < rows.length * toldOf) throw new Error(`${part}: told ${told} times`);
    check(part, store, expected());
  };
  const few = REPLAYED / pending;
  const headings = Array.from({ length: few }, (_, index) => item(0, index + 1));
  await change(`replay of ${pending} actions`, headings, pending + 1);
  const length = contender.replays === 'all' ? few : CHANGES;
  const others = Array.from({ length }, (_, index) => row(pending + 1 + index, 1));
  await change(`change beside ${pending} actions`, others, 1);
  await store.close();
};

// Nobody may leave out a change, or make one of several.
async function telling(store, what, times, work) {
  const before = store.told();
  await work();
  const told = store.told() - before;
  if (told < times) throw new Error(`${what}: told ${told} times for ${times}`);
}

// Each scenario prepares, is timed once, and is checked.
const scenarios = {
  snapshot: (count) => async (contender, timed) => {
    const messages = contender.snapshotMessages(chunks(count), count);
    const store = await contender.make();
    await timed(() => store.snapshot(messages));
    check('snapshot', store, Array.from({ length: count }, (_, index) => item(count - 1 - index)));
    await store.close();
  },
  update: (count) => async (contender, timed) => {
    const { store, model } = await filled(contender, count);
    const messages = [];
    for (let change = 1; change <= CHANGES; change++) {
      const row = item((change * STEP) % count, change);
      model.set(row.id, row);
      messages.push(contender.putMessage(change, JSON.stringify(row)));
    }
    await telling(store, 'update', CHANGES, () => timed(() => store.putEach(messages), { per: CHANGES }));
    check('update', store, ordered(model));
    await store.close();
  },
  'insert and delete': (count) => async (contender, timed) => {
    const { store, model } = await filled(contender, count);
    const row = (change) => {
      const next = item((change * STEP) % count, change);
      return { ...next, id: `extra-${change}`, created_at: next.created_at + 1 };
    };
    const [inserts, deletes] = [[], []];
    for (let change = 1; change <= CHANGES; change++) {
      inserts.push(contender.putMessage(change, JSON.stringify(row(change))));
      deletes.push(contender.removeMessage(CHANGES + change, row(change).id));
    }
    await telling(store, 'insert', CHANGES, () => timed(() => store.putEach(inserts), { part: 'insert', per: CHANGES }));
    const more = Array.from({ length: CHANGES }, (_, index) => row(index + 1));
    check('insert', store, [...model.values(), ...more].sort(newestFirst));
    await telling(store, 'delete', CHANGES, () => timed(() => store.removeEach(deletes), { part: 'delete', per: CHANGES }));
    check('delete', store, ordered(model));
    await store.close();
  },
  'optimistic cycle': (count) => async (contender, timed) => {
    const { store, model } = await filled(contender, count);
    const [rows, confirmations] = [[], []];
    for (let change = 1; change <= CHANGES; change++) {
      const row = item((change * STEP) % count, change);
      model.set(row.id, row);
      rows.push(contender.ownRow(row));
      confirmations.push(contender.confirmMessage(change, JSON.stringify(row), change));
    }
    // of the write, and of its confirmation
    const cycle = () => timed(() => store.optimisticEach(rows, confirmations), { per: CHANGES });
    await telling(store, 'optimistic cycle', 2 * CHANGES, cycle);
    check('optimistic cycle', store, ordered(model));
    await store.close();
  },
  'replay of 100 actions': replay(100),
  'replay of 1000 actions': replay(1000),
};

const plan = [
  ['snapshot', 1_000, 15],
  ['snapshot', 10_000, 11],
  ['snapshot', 100_000, 5],
  ['update', 1_000, 9],
  ['update', 10_000, 7],
  ['update', 100_000, 3],
  ['insert and delete', 10_000, 7],
  ['optimistic cycle', 10_000, 7],
  ['replay of 100 actions', 10_000, 7],
  ['replay of 1000 actions', 10_000, 5],
];

const heapUsed = async () => (await window.metrics('JSHeapUsedSize'))[0];
const cpuMs = async () => (await window.metrics('TaskDuration'))[0] * 1000;

// A turn of the event loop, in which the browser tidies up what the one before left.
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

async function run({ only, quick, who }) {
  const figures = [];
  for (const [name, count, rounds] of plan) {
    if (only && !`${name} ${count}`.includes(only)) continue;
    const scenario = scenarios[name](count);
    const samples = new Map();
    for (let round = 0; round < (quick ? 1 : rounds); round++) {
      for (const contender of contenders.filter(({ name }) => who.some((part) => name.includes(part)))) {
        await contender.prepare();
        const timed = async (work, { part = name, per = 1 } = {}) => {
          await window.tidy();
          await turn();
          const cpu = await cpuMs();
          const start = performance.now();
          await work();
          const wall = performance.now() - start;
          await turn();
          const key = `${part} ${count}\0${contender.name}`;
          if (!samples.has(key)) samples.set(key, { per, values: [] });
          samples.get(key).values.push({ cpu: (await cpuMs()) - cpu, wall });
        };
        try {
          await scenario(contender, timed);
        } catch (error) {
          throw new Error(`${contender.name}, ${name} ${count}: ${error.stack}`);
        }
      }
    }
    for (const [key, { per, values }] of samples) {
      const [what, who] = key.split('\0');
      figures.push({ what, who, per, values });
    }
    window.progress(`${name} ${count}`);
  }
  return figures;
}

// A visit: what it has seen is kept, and on the screen of the next one, which is another page.
const KEPT = 'kept';
const named = (who) => contenders.find(({ name }) => name === who);

async function keep(who, count) {
  const contender = named(who);
  if (!contender.save) return false;
  await contender.prepare();
  await contender.save(KEPT, chunks(count), count);
  return true;
}

async function comeBack(who, count) {
  const contender = named(who);
  await contender.prepare();
  await turn();
  const cpu = await cpuMs();
  const start = performance.now();
  const store = await contender.start(KEPT, count);
  const wall = performance.now() - start;
  await turn();
  const value = { cpu: (await cpuMs()) - cpu, wall };
  check('cold start', store, Array.from({ length: count }, (_, index) => item(count - 1 - index)));
  await store.close();
  return value;
}

// What `count` rows cost one contender. To be asked of a fresh page: wasm memory never shrinks.
async function heap(who, count) {
  const contender = named(who);
  const memory = (await contender.prepare())?.memory;
  const bytes = async () => {
    await window.tidy();
    await turn();
    await window.tidy();
    return (await heapUsed()) + (memory?.buffer.byteLength ?? 0);
  };
  const before = await bytes();
  const store = await contender.make();
  await store.snapshot(contender.snapshotMessages(chunks(count), count));
  const after = await bytes();
  check(`heap of ${who}`, store, Array.from({ length: count }, (_, index) => item(count - 1 - index)));
  return { who, bytes: after - before };
}

Object.assign(window, { run, heap, keep, comeBack, names: contenders.map(({ name }) => name) });
