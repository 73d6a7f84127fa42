import { expect, test } from './support/fixtures.ts';

// The apps send nothing of which they know that it is refused. What they do not know is that positions have an end: there
// is no room between the first two of these, and none below the last.
const FIRST = `a0${'V'.repeat(98)}`;
const SECOND = `a0${'V'.repeat(97)}W`;
const LAST = 'z'.repeat(100);

test('a refused action disappears alone, and the page says why', async ({ open, line, newLine, raw }) => {
  await (await raw()).putTodosAt('main', { Milk: 'a0', Bread: LAST });
  const ada = await open();
  const ben = await open({ line: await newLine() });
  line.hold('up');
  await ada.editTodo('Milk', 'Oat milk');
  await ada.addTodo('Salt');
  await ada.editTodo('Bread', 'Rye bread');
  await expect(ada.todo('Salt')).toHaveAttribute('data-state', 'pending');
  await ada.expectPending(3);

  line.pass();
  await ada.settled();
  await ada.expectTodos(['Oat milk', 'Rye bread']);
  await ben.expectTodos(['Oat milk', 'Rye bread']);
  await expect(ada.refusals).toHaveText(/no such place/);
  await expect(ada.refusals).toHaveAttribute('data-code', 'bad_position');
  await expect(ben.refusals).toHaveCount(0);
  await ada.get('refusals-dismiss').click();
  await expect(ada.refusals).toHaveCount(0);

  // what was refused has stopped nothing behind it
  await ada.deleteTodo('Rye bread');
  await ada.addTodo('later');
  await ben.expectTodos(['Oat milk', 'later']);
});

test('a refused move puts the row back, and what was done to it after that stays', { tag: '@once' }, async ({ open, line, raw }) => {
  await (await raw()).putTodosAt('main', { Milk: FIRST, Bread: SECOND, Salt: 'a1' });
  const ada = await open();
  const ben = await open();

  line.hold('up');
  await ada.moveTodo('Salt', 'up');
  await expect.poll(() => ada.todoTexts()).toEqual(['Milk', 'Salt', 'Bread']);
  await ada.toggleTodo('Salt');
  await expect(ada.todo('Salt')).toHaveAttribute('data-done', 'true');
  line.pass();
  await ada.settled();
  for (const page of [ada, ben]) {
    await expect.poll(() => page.todoTexts()).toEqual(['Milk', 'Bread', 'Salt']);
    await expect(page.todo('Salt')).toHaveAttribute('data-done', 'true');
  }
  await expect(ada.refusals).toHaveAttribute('data-code', 'bad_position');
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

test('a refusal of what an earlier visit did is told on the next', { tag: '@once' }, async ({ open, line, raw }) => {
  await (await raw()).putTodosAt('main', { Milk: LAST });
  const ada = await open();
  await ada.kept('Milk');
  line.passPagesOnly();
  await ada.addTodo('Salt');
  await ada.expectPending(1);
  await ada.saved();
  await ada.page.reload();
  await expect(ada.todo('Salt')).toHaveAttribute('data-state', 'pending');

  line.pass();
  await ada.settled();
  await ada.expectTodos(['Milk']);
  await expect(ada.refusals).toHaveAttribute('data-code', 'bad_position');
});
