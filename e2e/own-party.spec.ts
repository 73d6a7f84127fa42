import type { Locator } from '@playwright/test';

import { RECONNECT_MS, type App } from './support/app.ts';
import { expect, test } from './support/fixtures.ts';

// A partysync server of the visitor's own, in the apps' field for it. The demo server is one, and a room of it is a list.

async function connect(app: App, party = 'todos'): Promise<void> {
  await app.get('own-party').getByText('Bring your own').click();
  await app.get('own-party-name').fill(party);
  await app.get('own-party-connect').click();
}

async function add(app: App, text: string): Promise<void> {
  await app.get('own-party-input').fill(text);
  await app.get('own-party-input').press('Enter');
}

const todo = (app: App, text: string): Locator => app.get('own-party-todo').filter({ hasText: text });

async function expectTexts(app: App, texts: string[], timeout?: number): Promise<void> {
  await expect(app.get('own-party-text')).toHaveText(texts, { timeout });
}

async function expectStatus(app: App, status: string, timeout?: number): Promise<void> {
  await expect(app.get('own-party-status')).toHaveAttribute('data-status', status, { timeout });
}

test('the demo server is one: a list is the same in the panel and in the field', async ({ open }) => {
  const ada = await open({ list: 'shared', view: 'todos' });
  await ada.addTodo('Milk');
  await ada.expectTodos(['Milk']);
  await connect(ada);
  await expectTexts(ada, ['Milk']);
  await expectStatus(ada, 'live');
  // whatever the page itself goes by
  await expect(ada.get('own-party-status')).toHaveAttribute('data-transport', 'ws');

  await add(ada, 'Bread');
  await expect(ada.get('own-party-input')).toHaveValue('');
  await ada.expectTodos(['Milk', 'Bread']);
  await expect(todo(ada, 'Bread')).toHaveAttribute('data-state', 'confirmed');
  await ada.addTodo('Salt');
  await expectTexts(ada, ['Milk', 'Bread', 'Salt']);

  await todo(ada, 'Milk').getByTestId('own-party-toggle').click();
  await expect(ada.todo('Milk')).toHaveAttribute('data-done', 'true');
  await ada.toggleTodo('Bread');
  await expect(todo(ada, 'Bread').getByTestId('own-party-toggle')).toBeChecked();
  await expect(todo(ada, 'Bread')).toHaveAttribute('data-done', 'true');
  await todo(ada, 'Bread').getByTestId('own-party-toggle').click();
  await expect(ada.todo('Bread')).toHaveAttribute('data-done', 'false');

  await ada.editTodo('Salt', 'Pepper');
  await expectTexts(ada, ['Milk', 'Bread', 'Pepper']);
  await ada.moveTodo('Pepper', 'up');
  await expectTexts(ada, ['Milk', 'Pepper', 'Bread']);
  await todo(ada, 'Pepper').getByTestId('own-party-delete').click();
  await ada.expectTodos(['Milk', 'Bread']);
  await ada.clearCompleted();
  await expectTexts(ada, ['Bread']);
  await expect(ada.get('own-party-error')).toHaveCount(0);
});

test('a party that there is not is told, and another one is another try', { tag: '@once' }, async ({ open }) => {
  const ada = await open({ list: 'shared', view: 'todos' });
  await ada.addTodo('Milk');
  await connect(ada, 'nobodys');
  await expectStatus(ada, 'reconnecting');
  await expect(ada.get('own-party-error')).toBeVisible();
  await expectTexts(ada, []);
  // the page's own connection has nothing to do with it
  await ada.settled();

  await ada.get('own-party-name').fill('todos');
  await ada.get('own-party-connect').click();
  await expectStatus(ada, 'live');
  await expectTexts(ada, ['Milk']);
  await expect(ada.get('own-party-error')).toHaveCount(0);
});

test('what the server refuses is told in its words, until something else is done', { tag: '@once' }, async ({ open }) => {
  const ada = await open({ list: 'shared', view: 'todos' });
  await connect(ada);
  await expectStatus(ada, 'live');
  await add(ada, 'x'.repeat(501));
  await expect(ada.get('own-party-error')).toContainText('501 characters');
  await expectTexts(ada, []);
  await add(ada, 'Milk');
  await ada.expectTodos(['Milk']);
  await expect(ada.get('own-party-error')).toHaveCount(0);
});

test('a lost line keeps the rows, and what changed meanwhile comes with the next one', { tag: '@once' }, async ({ open, line, newLine }) => {
  const ada = await open({ list: 'shared', view: 'todos' });
  const ben = await open({ list: 'shared', view: 'todos', line: await newLine() });
  await ada.addTodo('Milk');
  await ada.addTodo('Bread');
  await connect(ada);
  await expectTexts(ada, ['Milk', 'Bread']);
  await expectStatus(ada, 'live');
  await ben.expectTodos(['Milk', 'Bread']);

  line.cut();
  await expectStatus(ada, 'reconnecting');
  await ben.deleteTodo('Milk');
  await ben.addTodo('Salt');
  await ben.expectTodos(['Bread', 'Salt']);
  await expectTexts(ada, ['Milk', 'Bread']);
  line.pass();
  await expectStatus(ada, 'live', RECONNECT_MS);
  await expectTexts(ada, ['Bread', 'Salt']);
  await expect(ada.get('own-party-error')).toHaveCount(0);
});

test('the apps side by side reach it too, each as one of the guests who sit there', { tag: '@once' }, async ({ openBoth, framework }) => {
  const both = await openBoth();
  const app = both[framework];
  await app.settled();
  await app.addTodo('Milk');
  await connect(app);
  await expectTexts(app, ['Milk']);
  await expectStatus(app, 'live');
});
