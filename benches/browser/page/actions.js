// The actions that are replayed: edits and new rows, each made of what one other row says. See src/actions.rs.
import { item } from './rows.js';

// The action with this number: three edits to one new row. A new one stands beside `row`.
export function action(number, row) {
  const [heading, text] = [item(0).id, `by action ${number}`.padEnd(40)];
  if (number % 4 !== 0) return { type: 'edit', payload: { id: row.id, heading, text } };
  return { type: 'create', payload: { id: `extra-${number}`, heading, text, created_at: row.created_at + 1 } };
}

// The row that an action writes, of its heading and of what it edits.
export function written({ type, payload }, heading, row) {
  const { id, created_at } = payload;
  if (!heading) return undefined;
  const text = `${payload.text}, ${heading.updated_at}`;
  if (type === 'create') return { id, text, done: false, created_at, updated_at: created_at };
  return row && { ...row, text };
}

// Does an action to rows in a Map, or in what stands for one.
export function perform(rows, action) {
  const { heading, id } = action.payload;
  const row = written(action, rows.get(heading), rows.get(id));
  if (row) rows.set(id, row);
}
