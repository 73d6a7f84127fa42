import { expect, test } from './support/fixtures.ts';

test('edits made offline are shown as pending and go out when the page is online again', async ({ open, server }) => {
  const ada = await open();
  const ben = await open();
  await ada.addTodo('Milk');
  await ben.expectTodos(['Milk']);
  await ada.settled();

  await ada.offlineSwitch.check();
  await expect(ada.badge).not.toHaveAttribute('data-status', 'live');
  await expect.poll(async () => (await server.gauges()).connections).toBe(1);
  await ada.addTodo('Bread');
  await ada.editTodo('Milk', 'Oat milk');
  await ada.say('Anyone?');
  await expect(ada.todo('Bread')).toHaveAttribute('data-state', 'pending');
  await expect(ada.todo('Oat milk')).toHaveAttribute('data-state', 'pending');
  await expect(ada.message('Anyone?')).toHaveAttribute('data-state', 'pending');
  await ada.expectPending(3);
  await ben.addTodo('Eggs');
  await ben.expectTodos(['Milk', 'Eggs']);
  await expect(ada.todo('Eggs')).toHaveCount(0);

  await ada.offlineSwitch.uncheck();
  await ada.settled();
  await ada.expectTodos(['Oat milk', 'Bread', 'Eggs']);
  await ben.expectTodos(['Oat milk', 'Bread', 'Eggs']);
  await expect(ben.message('Anyone?')).toBeVisible();
  expect(await ada.todoRows()).toEqual(await ben.todoRows());
});

test('the latency switch slows the reply down, not the screen', { tag: '@once' }, async ({ open }) => {
  const ada = await open();
  await ada.get('latency-switch').check();
  const start = performance.now();
  await ada.addTodo('Milk');
  await expect(ada.todo('Milk')).toBeVisible();
  await expect(ada.todo('Milk')).toHaveAttribute('data-state', 'confirmed');
  expect(performance.now() - start, '800 ms each way').toBeGreaterThanOrEqual(1_600);
  await ada.get('latency-switch').uncheck();
  await ada.addTodo('Bread');
  await ada.expectTodos(['Milk', 'Bread']);
});
