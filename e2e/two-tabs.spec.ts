import { RECONNECT_MS } from './support/app.ts';
import { expect, test } from './support/fixtures.ts';

for (const direction of ['up', 'down'] as const) {
  const fate = direction === 'up' ? 'before the server has heard of them' : 'before it has heard of the replies';
  // over streaming fetch a request waits for the reply to the one before, and those are held
  const tag = direction === 'down' ? '@once' : [];
  test(`a tab dies ${fate}, and the other brings its actions up, once`, { tag }, async ({ open, line, raw }) => {
    const ada = await open({ view: 'todos' });
    const other = await open({ as: ada, view: 'todos' });
    await ada.addTodo('Milk');
    await other.expectTodos(['Milk']);
    await ada.settled();
    const me = await ada.myName.textContent();
    await expect(other.myName).toHaveText(me ?? '');

    line.hold(direction);
    await ada.addTodo('Bread');
    await ada.editTodo('Milk', 'Oat milk');
    await ada.toggleTodo('Oat milk');
    await ada.expectPending(3);
    await ada.saved();
    const version = async () => (await (await raw()).readTodos('main')).version;
    if (direction === 'down') await expect.poll(version, 'the server has done all of it').toBe(4);
    await ada.page.close();
    // what is on its way is lost with the line
    line.cut();
    expect(await version()).toBe(direction === 'up' ? 1 : 4);
    line.pass();

    await other.expectTodos(['Oat milk', 'Bread'], RECONNECT_MS);
    await expect(other.todo('Oat milk')).toHaveAttribute('data-done', 'true');
    await other.settled();
    expect(await version(), 'the first one and three more, each once').toBe(4);
    // and nothing is left for the next one to find
    await other.page.reload();
    await other.settled();
    await other.expectTodos(['Oat milk', 'Bread']);
    expect(await version()).toBe(4);
  });
}

test('what a tab did without a line is sent by the other when the first has gone', async ({ open, line, raw }) => {
  const ada = await open({ view: 'todos' });
  const other = await open({ as: ada, view: 'todos' });
  line.cut();
  await ada.expectStatus('reconnecting');
  await ada.addTodo('Milk');
  await ada.addTodo('Bread');
  await other.addTodo('Eggs');
  await ada.saved();
  await other.saved();
  await expect(other.todos, 'each tab shows its own work').toHaveCount(1);
  await ada.page.close();

  // the server is still away: the work is taken over, and shown as pending
  await expect(other.todo('Bread')).toHaveAttribute('data-state', 'pending', { timeout: RECONNECT_MS });
  await other.expectPending(3);
  line.pass();
  await other.settled();
  await other.expectTodos(['Milk', 'Bread', 'Eggs']);
  expect((await (await raw()).readTodos('main')).version).toBe(3);
});
