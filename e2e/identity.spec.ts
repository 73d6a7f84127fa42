import { App, RECONNECT_MS } from './support/app.ts';
import { expect, test } from './support/fixtures.ts';

test('work that waits is neither shown nor sent under another identity, and sent when its author is back', async ({ open, line, pages, framework, transport, raw }) => {
  const ada = await open({ view: 'todos' });
  await ada.addTodo('Milk');
  await ada.settled();
  await ada.kept('Milk');
  const context = ada.page.context();
  const cookies = await context.cookies();

  line.passPagesOnly();
  await ada.expectStatus('reconnecting');
  await ada.addTodo('of Ada');
  await ada.editTodo('Milk', 'Oat milk');
  await ada.expectPending(2);
  await ada.saved();
  const name = (await ada.myName.textContent()) ?? '';
  await ada.page.close();

  // without the cookie the server takes the next page for a new guest's
  await context.clearCookies();
  line.pass();
  const visit = async () => {
    const app = new App(await pages.open(context), framework);
    await app.load(line.url, { transport, view: 'todos' });
    await expect(app.get('todo-status')).toHaveAttribute('data-status', 'live');
    await app.settled();
    return app;
  };
  const ben = await visit();
  await expect(ben.myName).not.toHaveText(name);
  await ben.expectTodos(['Milk']);
  await ben.addTodo('of Ben');
  await ben.settled();
  await ben.page.reload();
  await ben.settled();
  await ben.expectTodos(['Milk', 'of Ben']);
  expect((await (await raw()).readTodos('main')).version, "Ada's and Ben's first").toBe(2);
  await ben.page.close();

  await context.clearCookies();
  await context.addCookies(cookies);
  const back = await visit();
  await expect(back.myName).toHaveText(name);
  await back.expectTodos(['Oat milk', 'of Ada', 'of Ben']);
  await back.settled();
  expect((await (await raw()).readTodos('main')).version, 'each once').toBe(4);
});

test('a page that becomes somebody else leaves what waits behind, for its author only', async ({ open, server, line, raw }) => {
  const page = await open({ view: 'todos' });
  await page.addTodo('Milk');
  await page.settled();
  await page.kept('Milk');
  const context = page.page.context();
  const cookies = await context.cookies();
  const name = (await page.myName.textContent()) ?? '';

  line.passPagesOnly();
  await page.expectStatus('reconnecting');
  await page.addTodo('of Ada');
  await page.editTodo('Milk', 'Oat milk');
  await page.expectPending(2);
  await page.saved();

  // the server takes whoever asks without cookie and token for a new guest
  await page.page.route('**/session/name', async (route) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${server.url}/session/name`, { method: 'POST', headers, body: JSON.stringify({ name: 'Ben' }) });
    await route.fulfill({ status: answer.status, contentType: 'application/json', body: await answer.text() });
  });
  await page.nameInput.fill('Ben');
  await page.get('name-save').click();
  await expect(page.nameInput).toHaveValue('');
  line.pass();
  await expect(page.myName).toHaveText('Ben', { timeout: RECONNECT_MS });
  await page.settled();
  await page.expectTodos(['Milk']);
  await page.addTodo('of Ben');
  await page.settled();
  await page.expectTodos(['Milk', 'of Ben']);
  expect((await (await raw()).readTodos('main')).version, "Ada's and Ben's first").toBe(2);

  await context.clearCookies();
  await context.addCookies(cookies);
  await page.page.reload();
  await page.settled();
  await expect(page.myName).toHaveText(name);
  await page.expectTodos(['Oat milk', 'of Ada', 'of Ben']);
  expect((await (await raw()).readTodos('main')).version, 'each once').toBe(4);
});
