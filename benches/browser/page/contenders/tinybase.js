// TinyBase: a table, and a listener to its ids in order.
import { createStore } from 'tinybase';
import { createIndexedDbPersister } from 'tinybase/persisters/persister-indexed-db';

export const name = 'TinyBase';

const setIn = (store) => ({ id, ...row }) => store.setRow('items', id, row);

export async function save(name, chunks) {
  const store = createStore();
  store.transaction(() => {
    for (const chunk of chunks) for (const row of chunk) setIn(store)(JSON.parse(row));
  });
  const persister = createIndexedDbPersister(store, name);
  await persister.save();
  await persister.destroy();
}

export async function start(name) {
  const store = createStore();
  const shown = await listen(store);
  const persister = createIndexedDbPersister(store, name);
  await persister.load();
  return { ...shown, close: () => persister.destroy() };
}

export const make = () => listen(createStore());

async function listen(store) {
  let told = 0;
  let ids = [];
  store.addSortedRowIdsListener('items', 'created_at', true, 0, undefined, (_store, _table, _cell, _descending, _offset, _limit, sorted) => {
    ids = sorted;
    told++;
  });
  store.addRowListener('items', null, () => { told++; });
  const set = setIn(store);
  return {
    async snapshot(chunks) {
      store.transaction(() => {
        for (const chunk of chunks) JSON.parse(chunk).forEach(set);
      });
    },
    async put(text) {
      set(JSON.parse(text));
    },
    async remove(text) {
      store.delRow('items', JSON.parse(text).id);
    },
    async optimistic(row, confirmation) {
      set({ ...row, pending: true });
      set(JSON.parse(confirmation));
    },
    told: () => told,
    rows: () => ids.map((id) => ({ id, ...store.getRow('items', id) })),
    async close() {
      store.delTables();
    },
  };
}
