import { expect, test } from './support/fixtures.ts';

const TOO_LONG = 'x'.repeat(501);

test('a refused action disappears alone, and the page says why', async ({ open, line, newLine }) => {
  const ada = await open();
  const ben = await open({ line: await newLine() });
  line.hold('up');
  for (const text of ['before', TOO_LONG, 'after']) await ada.addTodo(text);
  await expect(ada.todo(TOO_LONG)).toHaveAttribute('data-state', 'pending');
  await ada.expectPending(3);

  line.pass();
  await ada.settled();
  await ada.expectTodos(['before', 'after']);
  await ben.expectTodos(['before', 'after']);
  await expect(ada.refusals).toHaveText(/501 characters/);
  await expect(ada.refusals).toHaveAttribute('data-code', 'text_too_long');
  await expect(ben.refusals).toHaveCount(0);
  await ada.get('refusals-dismiss').click();
  await expect(ada.refusals).toHaveCount(0);

  // what was refused has stopped nothing behind it
  await ada.addTodo('later');
  await ben.expectTodos(['before', 'after', 'later']);
});

test('a refused edit gives the old text back, and what was done to the row after it stays', { tag: '@once' }, async ({ open, line }) => {
  const ada = await open();
  const ben = await open();
  await ada.addTodo('Milk');
  await ben.expectTodos(['Milk']);
  await ada.settled();

  line.hold('up');
  await ada.editTodo('Milk', TOO_LONG);
  await ada.toggleTodo(TOO_LONG);
  await expect(ada.todo(TOO_LONG)).toHaveAttribute('data-done', 'true');
  line.pass();
  await ada.settled();
  for (const page of [ada, ben]) {
    await page.expectTodos(['Milk']);
    await expect(page.todo('Milk')).toHaveAttribute('data-done', 'true');
  }
  await expect(ada.refusals).toHaveAttribute('data-code', 'text_too_long');
});

test('what nobody can do any more is refused, and the rest is done', { tag: '@once' }, async ({ open, line, newLine }) => {
  const ada = await open();
  const ben = await open({ line: await newLine() });
  await ada.addTodo('Milk');
  await ada.addTodo('Bread');
  await ben.expectTodos(['Milk', 'Bread']);
  await ada.settled();

  line.cut();
  await ada.expectStatus('reconnecting');
  await ada.editTodo('Milk', 'Oat milk');
  await ada.editTodo('Bread', 'Rye bread');
  await ben.deleteTodo('Milk');
  await ben.settled();
  line.pass();
  await ada.settled();
  await ada.expectTodos(['Rye bread']);
  await ben.expectTodos(['Rye bread']);
  await expect(ada.refusals).toHaveAttribute('data-code', 'gone');
});

test('a refusal of what an earlier visit did is told on the next', { tag: '@once' }, async ({ open, line }) => {
  const ada = await open();
  await ada.addTodo('Milk');
  await ada.settled();
  await ada.kept('Milk');
  line.passPagesOnly();
  await ada.addTodo(TOO_LONG);
  await ada.expectPending(1);
  await ada.saved();
  await ada.page.reload();
  await expect(ada.todo(TOO_LONG)).toHaveAttribute('data-state', 'pending');

  line.pass();
  await ada.settled();
  await ada.expectTodos(['Milk']);
  await expect(ada.refusals).toHaveAttribute('data-code', 'text_too_long');
});
