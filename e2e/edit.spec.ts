import { expect, test } from './support/fixtures.ts';

const ONCE = { tag: '@once' };

test('who types in a row that somebody else moves goes on typing, and sends nothing before it is done', ONCE, async ({ open, raw }) => {
  const ada = await open({ view: 'todos' });
  const ben = await open({ view: 'todos' });
  for (const text of ['one', 'two', 'three']) await ada.addTodo(text);
  await ben.expectTodos(['one', 'two', 'three']);
  await ada.settled();
  await ada.page.bringToFront();
  await ada.beginEdit(ada.todos.last());
  const input = ada.get('todo-edit');
  await input.press('Home');
  await ada.page.keyboard.type('thirty-');

  // others pass it, then it is itself taken elsewhere
  const moves = [
    ['one', 'down', ['two', 'one', '']],
    ['one', 'down', ['two', '', 'one']],
    ['three', 'up', ['', 'two', 'one']],
    ['three', 'down', ['two', '', 'one']],
    ['three', 'down', ['two', 'one', '']],
  ] as const;
  for (const [index, [text, way, order]] of moves.entries()) {
    await ben.moveTodo(text, way);
    await expect.poll(() => ada.todoTexts()).toEqual(order);
    await expect(input).toBeFocused();
    await ada.page.keyboard.type(String(index));
  }
  await expect(input).toHaveValue('thirty-01234three');
  await ada.settled();
  await expect(ben.todo('three')).toBeVisible();

  await ada.page.keyboard.press('Enter');
  await ben.expectTodos(['two', 'one', 'thirty-01234three']);
  expect((await (await raw()).readTodos('main')).version, 'three are added, five moved, one is edited').toBe(9);
});

