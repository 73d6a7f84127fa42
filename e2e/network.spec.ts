import type { App } from './support/app.ts';
import { RECONNECT_MS } from './support/app.ts';
import { expect, test } from './support/fixtures.ts';

// A silent line is noticed after the heartbeat and its deadline.
const NOTICED_MS = 60_000;

async function fiveOffline(ada: App): Promise<void> {
  await ada.addTodo('new from Ada');
  await ada.editTodo('one', 'one by Ada');
  await ada.editTodo('shared', 'shared by Ada');
  await ada.toggleTodo('two');
  await ada.deleteTodo('three');
}

async function fiveOnline(ben: App): Promise<void> {
  await ben.addTodo('new from Ben');
  await ben.editTodo('shared', 'shared by Ben');
  await ben.editTodo('four', 'four by Ben');
  await ben.toggleTodo('five');
  await ben.deleteTodo('six');
  await ben.settled();
}

for (const fault of ['cut', 'halfOpen'] as const) {
  const name = fault === 'cut' ? 'the line is cut' : 'the line goes silent';
  test(`${name}, ten edits are made meanwhile, and both pages agree afterwards`, async ({ open, raw, line, newLine }) => {
    test.setTimeout(180_000);
    await (await raw()).putTodos('main', ['shared', 'one', 'two', 'three', 'four', 'five', 'six']);
    const ada = await open();
    const ben = await open({ line: await newLine() });
    await expect(ada.todos).toHaveCount(7);

    line[fault]();
    if (fault === 'cut') await ada.expectStatus('reconnecting');
    await fiveOffline(ada);
    await fiveOnline(ben);
    await ada.expectStatus('reconnecting', NOTICED_MS);
    await ada.expectPending(5);
    await expect(ada.todo('new from Ada')).toHaveAttribute('data-state', 'pending');
    await expect(ada.todo('new from Ben')).toHaveCount(0);
    await expect(ben.todo('new from Ada')).toHaveCount(0);

    line.pass();
    await ada.settled();
    await ben.settled();
    // the write that came last to the server counts, and Ada's came when the line was back
    const agreed = ['shared by Ada', 'one by Ada', 'two', 'four by Ben', 'five', 'new from Ada', 'new from Ben'];
    await ada.expectTodos(agreed, RECONNECT_MS);
    await ben.expectTodos(agreed);
    for (const page of [ada, ben]) {
      await expect(page.todo('two')).toHaveAttribute('data-done', 'true');
      await expect(page.todo('five')).toHaveAttribute('data-done', 'true');
    }
    const fresh = await open();
    await fresh.expectTodos(agreed);
    expect(await ada.todoRows()).toEqual(await fresh.todoRows());
    expect(await ben.todoRows()).toEqual(await fresh.todoRows());
    const { version } = await (await raw()).readTodos('main');
    expect(version, 'seven to-dos and ten edits, each once').toBe(17);
  });
}

test('replies that were lost are not lost edits', async ({ open, raw, line, newLine }) => {
  const ada = await open();
  const ben = await open({ line: await newLine() });
  line.hold('down');
  await ada.addTodo('Milk');
  await ben.expectTodos(['Milk']);
  line.cut();
  await ada.expectStatus('reconnecting');
  await expect(ada.todo('Milk')).toHaveAttribute('data-state', 'pending');
  line.pass();
  await ada.settled();
  await ada.expectTodos(['Milk']);
  expect((await (await raw()).readTodos('main')).version).toBe(1);
});

test('a person who does not want to wait can have the connection tried at once', { tag: '@once' }, async ({ open, line }) => {
  const ada = await open({ prepare: (page) => page.clock.install() });
  // the page's time stands still from here on, so that no wait of its own ends
  await ada.page.clock.pauseAt(Date.now() + 1_000);
  line.cut();
  await ada.expectStatus('reconnecting');
  await ada.addTodo('Milk');
  const { attempts } = line;
  await ada.retryNow.click();
  await expect.poll(() => line.attempts, { timeout: 1_000 }).toBeGreaterThan(attempts);

  line.pass();
  await ada.page.clock.resume();
  await ada.settled();
  await expect(ada.retryNow).toBeHidden();
  await ada.expectTodos(['Milk']);
});
