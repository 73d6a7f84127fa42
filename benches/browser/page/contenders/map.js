// What a person would write by hand: JSON.parse, a Map, and a sorted array kept in order.
import { perform } from '../actions.js';
import { newestFirst, placeIn } from '../rows.js';

export const name = 'Map';
export const replays = 'all';

const isSame = (a, b) =>
  a.text === b.text && a.done === b.done && a.created_at === b.created_at && a.updated_at === b.updated_at;

export async function make() {
  const rows = new Map();
  let order = [];
  let told = 0;
  const tell = (_change) => { told++; };
  const at = (row) => placeIn(order, row);
  const show = (before, row) => {
    if (before && row && before.created_at === row.created_at) {
      order[at(before)] = row;
      tell({ type: 'update', row });
      return;
    }
    if (before) order.splice(at(before), 1);
    if (row) order.splice(at(row), 0, row);
    tell(row ? { type: 'insert', row } : { type: 'delete', id: before.id });
  };
  // rows as pending actions make them, by id; what the server says stays as it is beneath
  let overlay = new Map();
  const pending = [];
  const put = (row) => {
    const before = rows.get(row.id);
    rows.set(row.id, row);
    if (!overlay.has(row.id)) show(before, row);
  };
  const replay = () => {
    const before = overlay;
    overlay = new Map();
    const draft = {
      get: (id) => overlay.get(id) ?? rows.get(id),
      set: (id, row) => overlay.set(id, row),
    };
    for (const action of pending) perform(draft, action);
    for (const [id, row] of overlay) {
      const shown = before.get(id) ?? rows.get(id);
      if (!shown || !isSame(shown, row)) show(shown, row);
    }
    for (const [id, row] of before) if (!overlay.has(id)) show(row, rows.get(id));
  };
  return {
    async snapshot(chunks) {
      for (const chunk of chunks) for (const row of JSON.parse(chunk)) rows.set(row.id, row);
      order = [...rows.values()].sort(newestFirst);
      tell({ type: 'reset', order });
    },
    async put(text) {
      put(JSON.parse(text));
      if (pending.length > 0) replay();
    },
    async remove(text) {
      const { id } = JSON.parse(text);
      const row = rows.get(id);
      rows.delete(id);
      order.splice(at(row), 1);
      tell({ type: 'delete', id });
    },
    async optimistic(row, confirmation) {
      put({ ...row, pending: true });
      put(JSON.parse(confirmation));
    },
    async act(actions) {
      pending.push(...actions);
      replay();
    },
    told: () => told,
    rows: () => order,
    async close() {},
  };
}

const opened = (name) =>
  new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore('rows', { keyPath: 'id' });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

export async function save(name, chunks) {
  const database = await opened(name);
  const transaction = database.transaction('rows', 'readwrite');
  for (const chunk of chunks) for (const row of chunk) transaction.objectStore('rows').put(JSON.parse(row));
  await new Promise((resolve) => { transaction.oncomplete = resolve; });
  database.close();
}

export async function start(name) {
  const database = await opened(name);
  const request = database.transaction('rows').objectStore('rows').getAll();
  const all = await new Promise((resolve) => { request.onsuccess = () => resolve(request.result); });
  database.close();
  const rows = new Map(all.map((row) => [row.id, row]));
  const order = [...rows.values()].sort(newestFirst);
  return { rows: () => order, async close() {} };
}
