import type { Locator } from '@playwright/test';

import { expect, test } from './support/fixtures.ts';

declare global {
  interface Window {
    /** How many rows stood in the list, after each change of the document. */
    counts: number[];
  }
  interface Element {
    mark?: string;
  }
}

async function mark(row: Locator): Promise<void> {
  await row.evaluate((element) => (element.mark = 'the same'));
}

async function expectMark(row: Locator): Promise<void> {
  expect(await row.evaluate((element) => element.mark)).toBe('the same');
}

async function countRows(rows: Locator, parent: Locator): Promise<() => Promise<number[]>> {
  const id = await rows.first().getAttribute('data-testid');
  await parent.evaluate((list, id) => {
    window.counts = [];
    const count = () => window.counts.push(list.querySelectorAll(`[data-testid="${id}"]`).length);
    new MutationObserver(count).observe(list, { subtree: true, childList: true, attributes: true, characterData: true });
  }, id);
  return () => parent.page().evaluate(() => [...new Set(window.counts)]);
}

test('a todo is on screen while the reply is held, and is the same node once confirmed', async ({ open, line, newLine }) => {
  const ada = await open();
  const ben = await open({ line: await newLine() });
  line.hold('down');

  await ada.addTodo('Milk');
  const row = ada.todo('Milk');
  await expect(row).toHaveAttribute('data-state', 'pending');
  await ada.expectPending(1);
  await mark(row);
  const counts = await countRows(ada.todos, ada.get('todo-panel'));
  // the server has it, only the reply is missing
  await ben.expectTodos(['Milk']);
  await expect(row).toHaveAttribute('data-state', 'pending');

  line.pass();
  await expect(row).toHaveAttribute('data-state', 'confirmed');
  await ada.expectPending(0);
  await expectMark(row);
  expect(await counts(), 'the row is there once, at every moment').toEqual([1]);
  await ada.expectTodos(['Milk']);
});

test('edit, toggle and delete show before the server has heard of them', async ({ open, line, newLine }) => {
  const ada = await open();
  const ben = await open({ line: await newLine() });
  await ada.addTodo('Milk');
  await ada.addTodo('Bread');
  await ben.expectTodos(['Milk', 'Bread']);
  await ada.settled();
  line.hold('up');

  await mark(ada.todo('Milk'));
  await ada.editTodo('Milk', 'Oat milk');
  await ada.toggleTodo('Oat milk');
  await ada.deleteTodo('Bread');
  await expect(ada.todos).toHaveCount(1);
  await expect(ada.todo('Oat milk')).toHaveAttribute('data-state', 'pending');
  await expect(ada.todo('Oat milk')).toHaveAttribute('data-done', 'true');
  await ada.expectPending(3);
  await ben.expectTodos(['Milk', 'Bread']);

  line.pass();
  await ada.settled();
  await ada.expectTodos(['Oat milk']);
  await expectMark(ada.todo('Oat milk'));
  await ben.expectTodos(['Oat milk']);
  await expect(ben.todo('Oat milk')).toHaveAttribute('data-done', 'true');
});

test('a message is on screen while the reply is held, and is the same node once confirmed', async ({ open, line, newLine }) => {
  const ada = await open();
  const ben = await open({ line: await newLine() });
  line.hold('down');

  await ada.say('Hello');
  const row = ada.message('Hello');
  await expect(row).toHaveAttribute('data-state', 'pending');
  await expect(row).toHaveAttribute('data-mine', 'true');
  await mark(row);
  const counts = await countRows(ada.messages, ada.get('chat-panel'));
  await expect(ben.message('Hello')).toHaveAttribute('data-state', 'confirmed');

  line.pass();
  await expect(row).toHaveAttribute('data-state', 'confirmed');
  await expectMark(row);
  expect(await counts()).toEqual([1]);
});
