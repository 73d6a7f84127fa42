// Replicache: pokes into its cache, a watch on the rows, and an array kept in order by what the watch says.
import { Replicache } from 'replicache';
import { written } from '../actions.js';
import { newestFirst, placeIn } from '../rows.js';

export const name = 'Replicache, watch';
export const replays = 'all';

let number = 0;

const replicache = (name, kvStore) =>
  new Replicache({
    name,
    kvStore,
    logLevel: 'error',
    pullInterval: null,
    mutators: {
      put: (tx, row) => tx.set(`items/${row.id}`, row),
      async act(tx, action) {
        const { heading, id } = action.payload;
        const row = written(action, await tx.get(`items/${heading}`), await tx.get(`items/${id}`));
        if (row) await tx.set(`items/${id}`, row);
      },
    },
    // the server's word comes by poke
    puller: async () => ({ httpRequestInfo: { httpStatusCode: 200, errorMessage: '' } }),
    pusher: async () => ({ httpRequestInfo: { httpStatusCode: 200, errorMessage: '' } }),
  });

// The rows in order, by what a watch says of them.
function watch(rep) {
  let told = 0;
  let order = [];
  const at = (row) => placeIn(order, row);
  rep.experimentalWatch((diff) => {
    told += diff.length;
    if (diff.length > 2000) {
      const rows = new Map(order.map((row) => [row.id, row]));
      for (const { op, newValue, oldValue } of diff) {
        if (op === 'del') rows.delete(oldValue.id);
        else rows.set(newValue.id, newValue);
      }
      order = [...rows.values()].sort(newestFirst);
      return;
    }
    for (const { op, newValue, oldValue } of diff) {
      if (op === 'change' && newValue.created_at === oldValue.created_at) {
        order[at(oldValue)] = newValue;
        continue;
      }
      if (op !== 'add') order.splice(at(oldValue), 1);
      if (op !== 'del') order.splice(at(newValue), 0, newValue);
    }
  }, { prefix: 'items/', initialValuesInFirstDiff: true });
  return { told: () => told, rows: () => order };
}

const set = (row) => ({ op: 'put', key: `items/${row.id}`, value: row });

export async function save(name, chunks, count) {
  const rep = replicache(name, 'idb');
  const patch = chunks.flat().map((row) => set(JSON.parse(row)));
  await rep.poke({ baseCookie: null, pullResponse: { cookie: 1, lastMutationIDChanges: {}, patch } });
  // it is kept when the page is idle; the next visit finds all of it then
  for (let found = 0; found !== count; ) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const next = replicache(name, 'idb');
    found = await next.query(async (tx) => (await tx.scan({ prefix: 'items/' }).keys().toArray()).length);
    await next.close();
  }
  await rep.close();
}

export async function start(name, count) {
  const rep = replicache(name, 'idb');
  const shown = watch(rep);
  while (shown.rows().length !== count) await new Promise((resolve) => setTimeout(resolve, 0));
  return { ...shown, close: () => rep.close() };
}

export async function make() {
  let cookie = 0;
  const rep = replicache(`bench-${number++}`, 'mem');
  const { told, rows } = watch(rep);
  const clientID = await rep.clientID;
  let mutations = 0;
  const poke = (patch, lastMutationIDChanges = {}) => {
    const baseCookie = cookie === 0 ? null : cookie;
    cookie++;
    return rep.poke({ baseCookie, pullResponse: { cookie, lastMutationIDChanges, patch } });
  };
  return {
    async snapshot(chunks) {
      await poke(chunks.flatMap((chunk) => JSON.parse(chunk).map(set)));
    },
    async put(text) {
      await poke([set(JSON.parse(text))]);
    },
    async remove(text) {
      await poke([{ op: 'del', key: `items/${JSON.parse(text).id}` }]);
    },
    async optimistic(row, confirmation) {
      await rep.mutate.put({ ...row, pending: true });
      mutations++;
      await poke([set(JSON.parse(confirmation))], { [clientID]: mutations });
    },
    async act(actions) {
      for (const action of actions) await rep.mutate.act(action);
      mutations += actions.length;
    },
    told,
    rows,
    close: () => rep.close(),
  };
}
