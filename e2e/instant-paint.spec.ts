import { App } from './support/app.ts';
import { expect, test } from './support/fixtures.ts';

test('a page that is loaded again while the server is away shows what it knew, and that it is not live', async ({ open, line }) => {
  const ada = await open();
  const ben = await open();
  await ada.addTodo('Milk');
  await ada.addTodo('Bread');
  await ada.say('Hello');
  await expect(ada.message('Hello')).toHaveAttribute('data-state', 'confirmed');
  await ada.settled();
  await ada.kept('Bread');
  await ada.kept('Hello');

  line.passPagesOnly();
  await ada.page.reload();
  await ada.expectTodos(['Milk', 'Bread']);
  await expect(ada.message('Hello')).toHaveAttribute('data-state', 'confirmed');
  await ada.expectStatus('reconnecting');
  await expect(ada.get('todo-status')).not.toHaveAttribute('data-status', 'live');
  // what is done now waits, on top of what was known
  await ada.addTodo('Eggs');
  await expect(ada.todo('Eggs')).toHaveAttribute('data-state', 'pending');

  line.pass();
  await ada.settled();
  await ada.expectTodos(['Milk', 'Bread', 'Eggs']);
  await ben.settled();
  await ben.expectTodos(['Milk', 'Bread', 'Eggs']);
  expect(await ada.todoRows()).toEqual(await ben.todoRows());
});

test('what has changed meanwhile comes when the server does', { tag: '@once' }, async ({ open, line, newLine }) => {
  const ada = await open();
  await ada.addTodo('Milk');
  await ada.addTodo('Bread');
  await ada.settled();
  await ada.kept('Bread');

  line.passPagesOnly();
  await ada.page.reload();
  await ada.expectTodos(['Milk', 'Bread']);
  const ben = await open({ line: await newLine() });
  await ben.deleteTodo('Milk');
  await ben.editTodo('Bread', 'Rye bread');
  await ben.settled();
  await ada.expectTodos(['Milk', 'Bread']);

  line.pass();
  await ada.settled();
  await ada.expectTodos(['Rye bread']);
});

test('another person at the same browser is shown nothing of the first', { tag: '@once' }, async ({ open, line, pages, framework, transport }) => {
  const ada = await open({ view: 'chat' });
  await ada.say('Hello');
  await expect(ada.message('Hello')).toHaveAttribute('data-mine', 'true');
  await ada.settled();
  await ada.kept('Hello');

  // without the cookie the server takes the page for a new guest's
  await ada.page.context().clearCookies();
  const ben = new App(await pages.open(ada.page.context()), framework);
  // from the first moment: no row may be shown as the new guest's that was Ada's
  await ben.page.addInitScript(() => {
    const wrong: string[] = [];
    Object.assign(window, { wrong });
    const look = () => {
      for (const row of document.querySelectorAll('[data-testid=chat-message][data-mine=true]')) {
        wrong.push(row.textContent ?? '');
      }
    };
    new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
  });
  await ben.load(line.url, { transport, view: 'chat' });
  await ben.settled();
  await expect(ben.message('Hello')).toHaveAttribute('data-mine', 'false');
  expect(await ben.page.evaluate(() => (window as unknown as { wrong: string[] }).wrong)).toEqual([]);
  await ben.say('I am somebody else');
  await expect(ben.message('I am somebody else')).toHaveAttribute('data-mine', 'true');
  await ben.settled();
  await ben.kept('I am somebody else');

  // and what is kept is theirs from then on
  line.passPagesOnly();
  await ben.page.reload();
  await expect(ben.message('I am somebody else')).toBeVisible();
  await expect(ben.message('Hello')).toBeVisible();
});

test('a browser that keeps nothing says so, and the page works', { tag: '@once' }, async ({ open, pages, framework, transport, line }) => {
  const ada = new App(await pages.open(), framework);
  await ada.page.addInitScript(() => {
    IDBFactory.prototype.open = () => {
      throw new DOMException('not in a private window', 'InvalidStateError');
    };
  });
  await ada.load(line.url, { transport });
  await ada.settled();
  await expect(ada.badge).toHaveAttribute('data-storage', 'storage_unavailable');
  await expect(ada.badge).toContainText('nothing is kept');
  await ada.addTodo('Milk');
  await ada.settled();
  await ada.expectTodos(['Milk']);
  const ben = await open();
  await ben.expectTodos(['Milk']);
  await expect(ben.badge).toHaveAttribute('data-storage', 'kept');
});

test('a browser whose disk is full says so, and the page works', { tag: '@once' }, async ({ open }) => {
  const ada = await open({
    prepare: async (page) => {
      await page.addInitScript(() => {
        IDBObjectStore.prototype.put = () => {
          throw new DOMException('no room', 'QuotaExceededError');
        };
      });
    },
  });
  await expect(ada.badge).toHaveAttribute('data-storage', 'storage_full');
  await expect(ada.badge).toContainText('nothing is kept');
  await ada.addTodo('Milk');
  await ada.settled();
  await ada.expectTodos(['Milk']);
  const ben = await open();
  await ben.expectTodos(['Milk']);
  await expect(ben.badge).toHaveAttribute('data-storage', 'kept');
  await ben.editTodo('Milk', 'Oat milk');
  await ada.expectTodos(['Oat milk']);

  // with nothing to begin with, the next visit begins with the server
  await ada.page.reload();
  await ada.settled();
  await ada.expectTodos(['Oat milk']);
});
