import type { App } from './support/app.ts';
import { expect, test } from './support/fixtures.ts';

const TEXTS = Array.from({ length: 500 }, (_, index) => `Row ${index + 1}`);
const EDITED = 'Row 250';

declare global {
  interface Window {
    nodes: Map<string, Element[]>;
  }
}

type Counter = 'runs' | 'renders';

/**
 * `runs` is how often a row's record was read to be shown, `renders` how often its component has run. In Leptos a
 * component runs once, when its elements are made: there is nothing to count, and `replaced` would tell.
 */
function counters(app: App): Counter[] {
  return app.framework === 'dioxus' ? ['runs', 'renders'] : ['runs'];
}

/** What each row has counted, by key. */
async function counts(app: App): Promise<Record<Counter, Map<string, number>>> {
  const items = await app.todos.evaluateAll((items) =>
    items.map((item) => [item.getAttribute('data-key'), item.getAttribute('data-runs'), item.getAttribute('data-renders')]),
  );
  const column = (index: number) => new Map(items.map((item) => [item[0] ?? '', Number(item[index])]));
  return { runs: column(1), renders: column(2) };
}

/** Remembers every element of every row. */
async function remember(app: App): Promise<void> {
  await app.todos.evaluateAll((items) => {
    const key = (item: Element) => item.getAttribute('data-key') ?? '';
    window.nodes = new Map(items.map((item) => [key(item), [item, ...item.querySelectorAll('*')]]));
  });
}

/** Keys of rows that are not made of the very elements remembered. */
async function replaced(app: App): Promise<string[]> {
  return app.todos.evaluateAll((items) => {
    const key = (item: Element) => item.getAttribute('data-key') ?? '';
    const same = (item: Element) => {
      const before = window.nodes.get(key(item)) ?? [];
      const now = [item, ...item.querySelectorAll('*')];
      return now.length === before.length && now.every((element, index) => element === before[index]);
    };
    return items.filter((item) => !same(item)).map(key);
  });
}

function raised(before: Map<string, number>, after: Map<string, number>): Record<string, number> {
  const changed = [...after].filter(([key, count]) => count !== before.get(key));
  return Object.fromEntries(changed.map(([key, count]) => [key, count - (before.get(key) ?? 0)]));
}

test('editing one row of 500 runs that row once and replaces no node', async ({ open, raw }) => {
  await (await raw()).putTodos('main', TEXTS);
  const editor = await open({ view: 'todos' });
  const reader = await open({ view: 'todos' });
  for (const page of [editor, reader]) {
    await expect(page.todos).toHaveCount(500);
    expect(await page.todoTexts()).toEqual(TEXTS);
  }
  const key = (await editor.todo(EDITED).getAttribute('data-key')) ?? '';
  const before = { editor: await counts(editor), reader: await counts(reader) };
  for (const counter of counters(editor)) {
    expect(before.editor[counter].size).toBe(500);
    expect([...before.editor[counter].values()].every((count) => count >= 1), 'every row has run').toBe(true);
  }
  await remember(editor);
  await remember(reader);

  await editor.editTodo(EDITED, 'Row 250, edited');
  await expect(reader.todo('Row 250, edited')).toBeVisible();
  await editor.settled();
  await expect(editor.todo('Row 250, edited')).toHaveAttribute('data-state', 'confirmed');

  const after = { editor: await counts(editor), reader: await counts(reader) };
  for (const counter of counters(reader)) {
    expect(raised(before.reader[counter], after.reader[counter]), `${counter} on the page that reads`).toEqual({ [key]: 1 });
    const others = Object.keys(raised(before.editor[counter], after.editor[counter])).filter((other) => other !== key);
    expect(others, `other rows' ${counter} on the page that edits`).toEqual([]);
  }
  // the row that is edited also shows the field and what is typed, but its record is read anew once
  expect(raised(before.editor.runs, after.editor.runs), 'runs on the page that edits').toEqual({ [key]: 1 });
  expect(await replaced(reader)).toEqual([]);
  // in the row that was edited in place, text and input take turns
  expect((await replaced(editor)).filter((other) => other !== key)).toEqual([]);
  const item = await editor.todo('Row 250, edited').evaluate((item) => window.nodes.get(item.getAttribute('data-key') ?? '')?.[0] === item);
  expect(item, 'the row itself stays').toBe(true);
});

test('adding and deleting among 500 rows runs none of the others', { tag: '@once' }, async ({ open, raw }) => {
  await (await raw()).putTodos('main', TEXTS.slice(0, 499));
  const editor = await open({ view: 'todos' });
  const reader = await open({ view: 'todos' });
  await expect(editor.todos).toHaveCount(499);
  await expect(reader.todos).toHaveCount(499);
  const before = await counts(reader);
  await remember(reader);

  await editor.addTodo('one more');
  await expect(reader.todo('one more')).toBeVisible();
  await editor.deleteTodo(EDITED);
  await expect(reader.todo(EDITED)).toHaveCount(0);

  const added = (await reader.todo('one more').getAttribute('data-key')) ?? '';
  const after = await counts(reader);
  for (const counter of counters(reader)) {
    expect(Object.keys(raised(before[counter], after[counter])), counter).toEqual([added]);
  }
  expect(await replaced(reader)).toEqual([added]);
});
