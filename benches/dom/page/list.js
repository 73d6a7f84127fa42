// The list as a person would write it without a framework: JSON.parse, a Map of elements, textContent.
import { placeIn } from '../../browser/page/rows.js';

export function byHand() {
  const list = document.body.appendChild(document.createElement('ul'));
  const elements = new Map();
  let order = [];

  const made = (row) => {
    const [li, span, time] = ['li', 'span', 'time'].map((name) => document.createElement(name));
    li.append(span, time);
    if (row.done) li.className = 'done';
    span.textContent = row.text;
    time.textContent = row.updated_at;
    elements.set(row.id, { row, li, span, time });
    return li;
  };
  const insert = (row) => {
    const at = placeIn(order, row);
    list.insertBefore(made(row), at < order.length ? elements.get(order[at].id).li : null);
    order.splice(at, 0, row);
  };
  const remove = (id) => {
    const { row, li } = elements.get(id);
    order.splice(placeIn(order, row), 1);
    elements.delete(id);
    li.remove();
  };
  const put = (row) => {
    const shown = elements.get(row.id);
    if (shown?.row.created_at !== row.created_at) {
      if (shown) remove(row.id);
      insert(row);
      return;
    }
    order[placeIn(order, shown.row)] = row;
    if (row.done !== shown.row.done) shown.li.className = row.done ? 'done' : '';
    if (row.text !== shown.row.text) shown.span.textContent = row.text;
    if (row.updated_at !== shown.row.updated_at) shown.time.textContent = row.updated_at;
    shown.row = row;
  };
  return (text) => {
    const { snapshot, put: changed, delete: deleted } = JSON.parse(text);
    if (changed) {
      put(changed);
    } else if (deleted) {
      remove(deleted);
    } else {
      order = snapshot;
      list.append(...snapshot.map(made));
    }
  };
}
