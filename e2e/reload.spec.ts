import { expect, test } from './support/fixtures.ts';

test('a server that is started again on the same data shows what was saved', async ({ open, server }) => {
  const ada = await open();
  await ada.chooseName('Ada');
  await ada.addTodo('Milk');
  await ada.addTodo('Bread');
  await ada.toggleTodo('Milk');
  await ada.say('Hello');
  await expect(ada.message('Hello')).toHaveAttribute('data-state', 'confirmed');
  await ada.settled();

  expect(await server.stop(), 'it ends by itself, though a page is connected').toBe(0);
  await ada.expectStatus('reconnecting');
  await server.start();

  const ben = await open();
  await ben.expectTodos(['Milk', 'Bread']);
  await expect(ben.todo('Milk')).toHaveAttribute('data-done', 'true');
  await expect(ben.message('Hello').getByTestId('chat-author')).toHaveText('Ada');
  await ada.settled();
  expect(await ada.todoRows()).toEqual(await ben.todoRows());
});

test('a page that is loaded again shows what was saved and knows who the person is', { tag: '@once' }, async ({ open }) => {
  const ada = await open();
  await ada.chooseName('Ada');
  await ada.addTodo('Milk');
  await ada.say('Hello');
  await expect(ada.message('Hello')).toHaveAttribute('data-state', 'confirmed');
  await ada.expectTodos(['Milk']);

  await ada.page.reload();
  await ada.expectTodos(['Milk']);
  await expect(ada.myName).toHaveText('Ada');
  await expect(ada.message('Hello')).toHaveAttribute('data-mine', 'true');
  await expect(ada.message('Hello')).toHaveAttribute('data-state', 'confirmed');
});
