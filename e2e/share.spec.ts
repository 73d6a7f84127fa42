import { expect, test } from './support/fixtures.ts';

test('todos and chat share one connection', async ({ open, server, line, transport }) => {
  const ada = await open({ view: 'both' });
  await expect(ada.badge).toHaveAttribute('data-transport', transport);
  await ada.addTodo('Milk');
  await ada.say('Hello');
  await ada.expectTodos(['Milk']);
  await ada.settled();
  expect(line.links).toBe(1);
  expect(await server.gauges()).toMatchObject({ connections: 1, subscriptions: 2 });

  for (const room of ['random', 'lobby', 'random']) await ada.enterRoom(room);
  await ada.filterTodos('active');
  await ada.expectTodos(['Milk']);
  await ada.filterTodos('all');
  await expect(ada.get('chat-status')).toHaveAttribute('data-status', 'live');
  await expect(ada.get('todo-status')).toHaveAttribute('data-status', 'live');
  await expect.poll(async () => (await server.gauges()).subscriptions).toBe(2);
  expect((await server.gauges()).connections).toBe(1);
  expect(line.links).toBe(1);
  expect(line.linksAsked, 'no other connection was ever asked for').toEqual([transport]);
});

test('each transport is the one that was asked for', async ({ open, line, transport }) => {
  await open();
  expect(line.linksAsked).toEqual([transport]);
});
