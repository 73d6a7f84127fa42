// One contender on one page: a list of 10,000 rows, and what a message from the server takes until it is in the DOM.
import init, { Contender } from '/wasm/syncline_bench_dom.js';
import { changesFrame, chunks, item, newestFirst, snapshotFrames } from '../../browser/page/rows.js';
import { byHand } from './list.js';

const COUNT = 10_000;
const EDITS = 1000;
const WARM_ROUNDS = 10;
// one sample of a page says little
const EDIT_ROUNDS = 5;
// each makes the framework look at the whole list
const INSERTS = 50;
// a prime step visits rows all over the list
const STEP = 7919;

const utf8 = new TextEncoder();

// Frames of Syncline's protocol, as bytes.
const frames = {
  snapshot: () => snapshotFrames(chunks(COUNT), COUNT).map((frame) => utf8.encode(frame)),
  put: (version, row) => utf8.encode(changesFrame(version, { put: [0] }, [JSON.stringify(row)])),
  remove: (version, id) => utf8.encode(changesFrame(version, { del: [id] })),
};

// What somebody would send who does it by hand.
const texts = {
  snapshot: () => [`{"snapshot":[${chunks(COUNT).flat().join(',')}]}`],
  put: (_version, row) => JSON.stringify({ put: row }),
  remove: (_version, id) => JSON.stringify({ delete: id }),
};
// wasm takes bytes: no text is transcoded on its way
const bytes = {
  snapshot: () => texts.snapshot().map((text) => utf8.encode(text)),
  put: (version, row) => utf8.encode(texts.put(version, row)),
  remove: (version, id) => utf8.encode(texts.remove(version, id)),
};

const wasm = (open) => async () => {
  await init();
  // where Dioxus mounts
  document.body.append(Object.assign(document.createElement('div'), { id: 'main' }));
  const contender = await open();
  return (message) => contender.receive(message);
};

const contenders = {
  'DOM by hand': { open: async () => byHand(), messages: texts },
  'Leptos, by hand': { open: wasm(() => Contender.leptos_by_hand()), messages: bytes },
  'Leptos, use_watch': { open: wasm(() => Contender.leptos_watch()), messages: frames },
  'Dioxus, by hand': { open: wasm(() => Contender.dioxus_by_hand()), messages: bytes },
  'Dioxus, use_watch': { open: wasm(() => Contender.dioxus_watch()), messages: frames },
};

// A turn of the event loop, in which the browser tidies up what the one before left.
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

// All of them change the DOM in a microtask, if not at once. Whoever does not would have it charged.
async function until(is) {
  for (let looks = 0; !is(); looks++) {
    if (looks > 10_000) throw new Error('it does not come to the DOM');
    await (looks < 100 ? null : turn());
  }
}

const cpuMs = async () => (await window.metrics('TaskDuration'))[0] * 1000;

const elements = () => document.querySelector('ul').children;

function check(what, model) {
  const [shown, rows] = [[...elements()], [...model.values()].sort(newestFirst)];
  if (shown.length !== rows.length) throw new Error(`${what}: ${shown.length} elements for ${rows.length}`);
  rows.forEach((row, index) => {
    const { className, children: [span, time] } = shown[index];
    const is = [className, span.textContent, time.textContent];
    const wanted = [row.done ? 'done' : '', row.text, String(row.updated_at)];
    if (String(is) !== String(wanted)) throw new Error(`${what}: row ${index}: ${is} for ${wanted}`);
  });
}

const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0)));

// What is timed ends with the DOM: the list has been rendered, and is again once the clocks have been read.
async function timed(work) {
  await frame();
  document.body.style.contentVisibility = 'hidden';
  await frame();
  await window.tidy();
  await turn();
  const cpu = await cpuMs();
  const start = performance.now();
  await work();
  const wall = performance.now() - start;
  await turn();
  const sample = { cpu: (await cpuMs()) - cpu, wall };
  document.body.style.contentVisibility = '';
  await frame();
  return sample;
}

async function run(who) {
  const { open, messages } = contenders[who];
  const snapshot = messages.snapshot();
  const receive = await open();
  const figures = [];
  const note = (what, per, sample) => figures.push({ what, per, sample });

  note('first rows', 1, await timed(async () => {
    snapshot.forEach(receive);
    await until(() => document.querySelector('ul') && elements().length === COUNT);
  }));
  const model = new Map(Array.from({ length: COUNT }, (_, number) => [item(number).id, item(number)]));
  check('first rows', model);

  let version = 0;
  const edits = (revision) => Array.from({ length: EDITS }, (_, edit) => {
    const number = ((edit + 1) * STEP + revision) % COUNT;
    const row = { ...item(number, revision), done: edit % 2 === 0 };
    model.set(row.id, row);
    version++;
    const { children: [span, time] } = elements()[COUNT - 1 - number];
    return { message: messages.put(version, row), span, time, text: row.text, at: String(row.updated_at) };
  });
  const edit = async (edits) => {
    for (const { message, span, time, text, at } of edits) {
      receive(message);
      await until(() => span.textContent === text && time.textContent === at);
    }
  };
  // what is warm is measured: the browser compiles what runs often once more, beside it, and takes its time
  for (let round = 1; round <= WARM_ROUNDS; round++) {
    await edit(edits(round));
    await turn();
  }
  for (let round = 1; round <= EDIT_ROUNDS; round++) {
    const measured = edits(WARM_ROUNDS + round);
    note('edit', EDITS, await timed(() => edit(measured)));
  }
  check('edit', model);

  const extra = (change) => {
    const next = item((change * STEP) % COUNT, change);
    return { ...next, id: `extra-${change}`, created_at: next.created_at + 1 };
  };
  const rows = Array.from({ length: INSERTS }, (_, index) => extra(index + 1));
  const inserts = rows.map((row) => messages.put(++version, row));
  const deletes = rows.map((row) => messages.remove(++version, row.id));
  const come = async (changes, step) => {
    for (const message of changes) {
      const wanted = elements().length + step;
      receive(message);
      await until(() => elements().length === wanted);
    }
  };
  note('insert', INSERTS, await timed(() => come(inserts, 1)));
  rows.forEach((row) => model.set(row.id, row));
  check('insert', model);
  note('delete', INSERTS, await timed(() => come(deletes, -1)));
  rows.forEach((row) => model.delete(row.id));
  check('delete', model);
  return figures;
}

Object.assign(window, { run, names: Object.keys(contenders) });
