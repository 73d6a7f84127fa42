import { expect, test } from './support/fixtures.ts';

test('a to-do is moved with the keyboard alone, and everybody sees it there', async ({ open }) => {
  const ada = await open();
  for (const text of ['one', 'two', 'three']) await ada.addTodo(text);
  await ada.expectTodos(['one', 'two', 'three']);

  const up = ada.todo('three').getByTestId('todo-up');
  await up.focus();
  await ada.page.keyboard.press('Enter');
  await expect.poll(() => ada.todoTexts()).toEqual(['one', 'three', 'two']);
  await expect(up, 'the button is still there to be pressed').toBeFocused();
  await ada.page.keyboard.press('Enter');
  await expect.poll(() => ada.todoTexts()).toEqual(['three', 'one', 'two']);
  await expect(up).toBeFocused();
  // there is nothing above it
  await ada.page.keyboard.press('Enter');
  await ada.settled();
  const ben = await open();
  await expect.poll(() => ben.todoTexts()).toEqual(['three', 'one', 'two']);

  await ben.moveTodo('three', 'down');
  await expect.poll(() => ada.todoTexts()).toEqual(['one', 'three', 'two']);
});

test('two people who move to the same place at once agree in the end', async ({ open, line, newLine }) => {
  const ada = await open();
  const ben = await open({ line: await newLine() });
  for (const text of ['one', 'two', 'three', 'four']) await ada.addTodo(text);
  await ben.expectTodos(['one', 'two', 'three', 'four']);
  await ada.settled();

  line.cut();
  await ada.expectStatus('reconnecting');
  // both between one and two
  await ada.moveTodo('three', 'up');
  await ben.moveTodo('four', 'up');
  await ben.moveTodo('four', 'up');
  await ben.settled();
  line.pass();
  await ada.settled();
  await expect.poll(async () => (await ada.todoTexts()).filter((text) => text === 'one' || text === 'two')).toEqual(['one', 'two']);
  await expect.poll(() => ada.todoTexts()).toEqual(await ben.todoTexts());
  expect((await ada.todoTexts())[0]).toBe('one');
  // and what shares a place can be passed
  await ada.moveTodo('two', 'up');
  await expect.poll(async () => (await ada.todoTexts()).indexOf('two')).toBe(1);
  await ada.settled();
  await expect.poll(() => ben.todoTexts()).toEqual(await ada.todoTexts());
});

test('what is done is cleared away, and the lobby is told', async ({ open }) => {
  const ada = await open();
  const ben = await open();
  await ada.chooseName('Ada');
  for (const text of ['one', 'two', 'three']) await ada.addTodo(text);
  await expect(ada.get('todo-clear')).toBeDisabled();
  await ada.toggleTodo('one');
  await ada.toggleTodo('three');
  await ada.clearCompleted();
  await ada.expectTodos(['two']);
  await ben.expectTodos(['two']);
  await expect(ada.get('todo-cleared')).toHaveText('2 cleared');
  for (const page of [ada, ben]) {
    const told = page.message('Ada has cleared 2 to-dos off the list “main”.');
    await expect(told.getByTestId('chat-author')).toHaveText('Syncline');
  }
});
