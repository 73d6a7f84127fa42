// TanStack DB: a collection fed by a sync function, and a live query in order.
import { createCollection, createIndexedDB, createLiveQueryCollection, indexedDBCollectionOptions } from '@tanstack/db';

let number = 0;

// A live query in order, and a subscriber that is told of its changes.
function watch(items, id, read) {
  const query = createLiveQueryCollection({
    id: `${id}-newest-first`,
    startSync: true,
    query: (q) => q.from({ item: items }).orderBy(({ item }) => item.created_at, 'desc'),
  });
  let told = 0;
  let shown = [];
  const subscription = query.subscribeChanges((changes) => {
    told += changes.length;
    if (read === 'toArray') shown = query.toArray;
  });
  return {
    query,
    told: () => told,
    async close() {
      subscription.unsubscribe();
      await query.cleanup();
      await items.cleanup();
    },
  };
}

const stored = async (name) => {
  const db = await createIndexedDB({ name, version: 1, stores: ['items'] });
  const id = `items-${number++}`;
  const options = indexedDBCollectionOptions({ id, db, name: 'items', getKey: (item) => item.id, startSync: true });
  return { db, id, items: createCollection(options) };
};

const contender = (name, read) => ({
  name,
  async save(name, chunks) {
    const { db, items } = await stored(name);
    await items.preload();
    await items.utils.importData(chunks.flat().map((row) => JSON.parse(row)));
    await items.cleanup();
    db.close();
  },
  async start(name, count) {
    const { db, id, items } = await stored(name);
    const { query, close } = watch(items, id, read);
    await query.preload();
    while (query.size !== count) await null;
    return {
      rows: () => query.toArray,
      async close() {
        await close();
        db.close();
      },
    };
  },
  async make() {
    let sync;
    const id = `items-${number++}`;
    let confirmed = () => {};
    const items = createCollection({
      id,
      getKey: (item) => item.id,
      startSync: true,
      sync: {
        sync: (params) => {
          sync = params;
        },
      },
      // the write is on its way until the server's message has been taken in
      onUpdate: () => new Promise((resolve) => { confirmed = resolve; }),
    });
    const { query, told, close } = watch(items, id, read);
    const apply = (changes) => {
      sync.begin();
      for (const change of changes) sync.write(change);
      sync.commit();
    };
    const shownAfter = async (before) => {
      while (told() === before) await null;
    };
    return {
      async snapshot(chunks) {
        for (const chunk of chunks) apply(JSON.parse(chunk).map((value) => ({ type: 'insert', value })));
        sync.markReady();
        await query.preload();
        while (query.size !== items.size) await null;
      },
      async put(text) {
        const value = JSON.parse(text);
        const before = told();
        apply([{ type: items.has(value.id) ? 'update' : 'insert', value }]);
        await shownAfter(before);
      },
      async remove(text) {
        const before = told();
        apply([{ type: 'delete', key: JSON.parse(text).id }]);
        await shownAfter(before);
      },
      async optimistic(row, confirmation) {
        const before = told();
        const transaction = items.update(row.id, (draft) => Object.assign(draft, row));
        await shownAfter(before);
        apply([{ type: 'update', value: JSON.parse(confirmation) }]);
        confirmed();
        await transaction.isPersisted.promise;
      },
      told,
      rows: () => query.toArray,
      close,
    };
  },
});

export const toArray = contender('TanStack DB, toArray', 'toArray');
export const changes = contender('TanStack DB, change messages', 'changes');
