// Replicache: pokes into its cache, a watch on the rows, and an array kept in order by what the watch says.
import { Replicache } from 'replicache';
import { newestFirst, placeIn } from '../rows.js';

export const name = 'Replicache, watch';

let number = 0;

export async function make() {
  let cookie = 0;
  let told = 0;
  let order = [];
  const rep = new Replicache({
    name: `bench-${number++}`,
    kvStore: 'mem',
    logLevel: 'error',
    pullInterval: null,
    mutators: { put: (tx, row) => tx.set(`items/${row.id}`, row) },
    // the server's word comes by poke
    puller: async () => ({ httpRequestInfo: { httpStatusCode: 200, errorMessage: '' } }),
    pusher: async () => ({ httpRequestInfo: { httpStatusCode: 200, errorMessage: '' } }),
  });
  const at = (row) => placeIn(order, row);
  rep.experimentalWatch((diff) => {
    told += diff.length;
    if (diff.length > 1000) {
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
  }, { prefix: 'items/' });
  const clientID = await rep.clientID;
  let mutations = 0;
  const poke = (patch, lastMutationIDChanges = {}) => {
    const baseCookie = cookie === 0 ? null : cookie;
    cookie++;
    return rep.poke({ baseCookie, pullResponse: { cookie, lastMutationIDChanges, patch } });
  };
  const set = (row) => ({ op: 'put', key: `items/${row.id}`, value: row });
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
    told: () => told,
    rows: () => order,
    close: () => rep.close(),
  };
}
