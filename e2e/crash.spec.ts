import type { App } from './support/app.ts';
import { RECONNECT_MS } from './support/app.ts';
import { expect, test } from './support/fixtures.ts';
import type { RawClient } from './support/raw.ts';

function texts(author: string): string[] {
  return Array.from({ length: 100 }, (_, index) => `${author} ${index + 1}`);
}

async function confirmedTexts(app: App): Promise<string[]> {
  return (await app.todoRows()).filter((row) => row.state === 'confirmed').map((row) => row.text);
}

async function textsIn(client: RawClient, list: string): Promise<string[]> {
  return (await client.readTodos(list)).rows.map((row) => row.text);
}

const ALL = [...texts('Ada'), ...texts('Ben')];

test('the server is killed while two pages write 200 todos', async ({ open, server, raw }) => {
  const ada = await open();
  const ben = await open();
  const witness = await raw();
  const writing = Promise.all([ada.addTodosQuickly(texts('Ada')), ben.addTodosQuickly(texts('Ben'))]);
  await expect(ada.todos.and(ada.page.locator('[data-state=confirmed]')).first()).toBeVisible();
  const acknowledged = [...(await confirmedTexts(ada)), ...(await confirmedTexts(ben))];
  // not a moment passes between this acknowledgement and the end
  await witness.putTodos('witness', ['acknowledged']);
  await server.kill();
  await writing;
  await ada.expectStatus('reconnecting');
  await ben.expectStatus('reconnecting');
  await expect(ada.todo('Ada 100')).toHaveCount(1);
  await expect(ben.todo('Ben 100')).toHaveCount(1);

  await server.start();
  const late = await raw();
  expect(await textsIn(late, 'main')).toEqual(expect.arrayContaining(acknowledged));
  expect(await textsIn(late, 'witness')).toEqual(['acknowledged']);
  for (const page of [ada, ben]) {
    await page.settled();
    await page.expectTodos(ALL, RECONNECT_MS);
  }
  const holding = await (await raw()).readTodos('main');
  expect(holding.version, 'every write was applied once').toBe(200);
  expect(holding.rows.map((row) => row.text).sort()).toEqual([...ALL].sort());
  const cleo = await open();
  await cleo.expectTodos(ALL);
  expect(await ada.todoRows()).toEqual(await cleo.todoRows());
  expect(await ben.todoRows()).toEqual(await cleo.todoRows());
});

test('200 writes are in flight, some of them on disk, when the server is killed', async ({ open, server, raw, newLine }) => {
  const lines = [await newLine(), await newLine()] as const;
  const ada = await open({ line: lines[0] });
  const ben = await open({ line: lines[1] });
  const observer = await raw();

  // replies are on their way and never arrive: what is on disk is not known to be
  for (const line of lines) line.hold('down');
  await Promise.all([ada.addTodosQuickly(texts('Ada')), ben.addTodosQuickly(texts('Ben'))]);
  await ada.expectPending(100);
  await ben.expectPending(100);
  await expect
    .poll(async () => {
      const authors = (await textsIn(observer, 'main')).map((text) => text.split(' ')[0]);
      return [...new Set(authors)].sort();
    })
    .toEqual(['Ada', 'Ben']);
  expect(await confirmedTexts(ada)).toEqual([]);
  expect(await confirmedTexts(ben)).toEqual([]);
  await server.kill();
  for (const line of lines) line.cut();
  await server.start();
  expect((await textsIn(await raw(), 'main')).length).toBeGreaterThan(0);
  for (const line of lines) line.pass();

  for (const page of [ada, ben]) {
    await page.settled();
    await page.expectTodos(ALL, RECONNECT_MS);
  }
  const holding = await (await raw()).readTodos('main');
  expect(holding.version, 'every write was applied once').toBe(200);
  const cleo = await open({ line: lines[0] });
  await cleo.expectTodos(ALL);
  expect(await ada.todoRows()).toEqual(await cleo.todoRows());
  expect(await ben.todoRows()).toEqual(await cleo.todoRows());
});
