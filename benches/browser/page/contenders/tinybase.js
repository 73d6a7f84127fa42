// TinyBase: a table, and a listener to its ids in order.
import { createStore } from 'tinybase';

export const name = 'TinyBase';

export async function make() {
  const store = createStore();
  let told = 0;
  let ids = [];
  store.addSortedRowIdsListener('items', 'created_at', true, 0, undefined, (_store, _table, _cell, _descending, _offset, _limit, sorted) => {
    ids = sorted;
    told++;
  });
  store.addRowListener('items', null, () => { told++; });
  const set = ({ id, ...row }) => store.setRow('items', id, row);
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
