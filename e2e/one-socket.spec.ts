import { expect, test } from './support/fixtures.ts';

test('channels, watches and spaces of a page share one connection', async ({ open, server, line, transport }) => {
  const ada = await open({ view: 'both' });
  const subscriptions = async () => (await server.gauges()).subscriptions;
  // the to-do page uses its channel twice, for the same rows: one subscription, and one for the room
  await expect.poll(subscriptions).toBe(2);

  await ada.addTodo('Milk');
  await ada.toggleTodo('Milk');
  await ada.say('Hello');
  await ada.settled();
  // what is left and what is shown are two lists now
  await ada.filterTodos('done');
  await ada.expectTodos(['Milk']);
  await expect.poll(subscriptions).toBe(3);
  for (const room of ['random', 'members', 'random']) {
    await ada.enterRoom(room);
    await expect(ada.get('chat-status')).toHaveAttribute('data-status', 'live');
  }
  await expect.poll(subscriptions).toBe(3);
  // actions in one space, rows in another
  await ada.clearCompleted();
  await ada.say('Goodbye');
  await ada.settled();
  await ada.filterTodos('all');
  await expect.poll(subscriptions, 'who leaves the last use of a list ends it').toBe(2);

  expect(line.links).toBe(1);
  expect(line.linksAsked, 'no other connection was ever asked for').toEqual([transport]);
  expect((await server.gauges()).connections).toBe(1);
});
