import { expect, test } from './support/fixtures.ts';

test('two pages follow each other through a todo list', async ({ open }) => {
  const ada = await open();
  const ben = await open();

  await ada.addTodo('Milk');
  await ada.addTodo('Bread');
  await ben.expectTodos(['Milk', 'Bread']);
  await ben.addTodo('Eggs');
  await ada.expectTodos(['Milk', 'Bread', 'Eggs']);
  expect(await ada.todoTexts()).toEqual(await ben.todoTexts());
  await expect(ada.get('todo-count')).toHaveText('3 left');

  await ben.editTodo('Bread', 'Rye bread');
  await ada.expectTodos(['Milk', 'Rye bread', 'Eggs']);

  await ada.toggleTodo('Milk');
  await expect(ben.todo('Milk')).toHaveAttribute('data-done', 'true');
  await expect(ben.todo('Milk').getByTestId('todo-toggle')).toBeChecked();
  await expect(ben.get('todo-count')).toHaveText('2 left');
  await expect(ada.get('todo-count')).toHaveText('2 left');

  await ben.deleteTodo('Eggs');
  await ada.expectTodos(['Milk', 'Rye bread']);
  await ben.expectTodos(['Milk', 'Rye bread']);
  await expect(ada.get('todo-count')).toHaveText('1 left');
});

test('a filter shows its rows and follows what others do', { tag: '@once' }, async ({ open }) => {
  const ada = await open();
  const ben = await open();
  await ada.addTodo('Milk');
  await ada.addTodo('Bread');
  await ben.expectTodos(['Milk', 'Bread']);

  await ben.filterTodos('active');
  await ben.expectTodos(['Milk', 'Bread']);
  await ada.toggleTodo('Milk');
  await ben.expectTodos(['Bread']);
  await ben.filterTodos('done');
  await ben.expectTodos(['Milk']);
  await ada.toggleTodo('Bread');
  await ben.expectTodos(['Milk', 'Bread']);
  await ada.toggleTodo('Milk');
  await ben.expectTodos(['Bread']);
  await ben.filterTodos('all');
  await ben.expectTodos(['Milk', 'Bread']);
  await ada.expectTodos(['Milk', 'Bread']);
});

test('an edit that is cancelled changes nothing', { tag: '@once' }, async ({ open }) => {
  const ada = await open();
  const ben = await open();
  await ada.addTodo('Milk');
  await ben.expectTodos(['Milk']);

  const item = ada.todos.first();
  const input = await ada.beginEdit(item);
  await input.fill('Wine');
  await input.press('Escape');
  await expect(item.getByTestId('todo-text')).toHaveText('Milk');
  await ada.addTodo('Bread');
  await ben.expectTodos(['Milk', 'Bread']);
  await ada.expectTodos(['Milk', 'Bread']);
});

test('lists are apart from each other', { tag: '@once' }, async ({ open }) => {
  const ada = await open({ list: 'home' });
  const ben = await open({ list: 'work' });
  await ada.addTodo('Milk');
  await ben.addTodo('Report');
  await ada.expectTodos(['Milk']);
  await ben.expectTodos(['Report']);
  const cleo = await open({ list: 'home' });
  await cleo.expectTodos(['Milk']);
});

test('two pages chat', async ({ open }) => {
  const ada = await open();
  const ben = await open();
  await ada.chooseName('Ada');
  await ben.chooseName('Ben');

  await ada.say('Hello');
  await expect(ben.message('Hello')).toHaveAttribute('data-mine', 'false');
  await expect(ben.message('Hello').getByTestId('chat-author')).toHaveText('Ada');
  await expect(ada.message('Hello')).toHaveAttribute('data-mine', 'true');
  await expect(ada.message('Hello')).toHaveAttribute('data-state', 'confirmed');

  await ben.say('Hi Ada');
  await expect(ada.message('Hi Ada').getByTestId('chat-author')).toHaveText('Ben');
  await ada.say('How are you?');
  await expect(ben.message('How are you?')).toBeVisible();
  for (const page of [ada, ben]) expect(await page.messageTexts()).toEqual(['Hello', 'Hi Ada', 'How are you?']);
});
