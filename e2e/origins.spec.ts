import { App } from './support/app.ts';
import { expect, test } from './support/fixtures.ts';
import type { Server } from './support/server.ts';

/** Not the host's name by which tests call a server otherwise: cookies of one are not sent to the other. */
function named(server: Server): string {
  return server.url.replace('127.0.0.1', 'localhost');
}

test('a page from another origin works with a server that lets it in', async ({ open, server, newServer, transport }) => {
  const elsewhere = await newServer();
  const origin = named(elsewhere);
  await server.stop();
  // as a person may type it
  await server.start(['--allow-origin', `${origin.toUpperCase()}/`]);
  const foreign = await open({ origin, server: `${server.url}/sync` });
  const own = await open();
  await expect(foreign.badge).toHaveAttribute('data-transport', transport);
  expect((await elsewhere.gauges()).connections, 'the server of the page has only served it').toBe(0);

  await foreign.addTodo('from elsewhere');
  await own.expectTodos(['from elsewhere']);
  await own.editTodo('from elsewhere', 'edited here');
  await foreign.expectTodos(['edited here']);

  await foreign.chooseName('Ada');
  await foreign.say('Hello');
  await expect(own.message('Hello').getByTestId('chat-author')).toHaveText('Ada');
  await expect(foreign.message('Hello')).toHaveAttribute('data-mine', 'true');
  await expect(foreign.message('Hello')).toHaveAttribute('data-state', 'confirmed');
});

test('a page from another origin gets nothing of a server that was not told of it', { tag: '@once' }, async ({ open, pages, framework, transport, server, newServer, newLine }) => {
  const elsewhere = await newServer();
  const own = await open();
  await own.addTodo('ours');
  await own.settled();
  const app = new App(await pages.open(), framework);
  // the demo's sessions have a list of their own; a page that has a token all the same comes as far as the connection
  await app.page.route('**/session*', async (route) => {
    const headers = { 'access-control-allow-origin': named(elsewhere), 'access-control-allow-headers': 'authorization' };
    if (route.request().method() === 'OPTIONS') return route.fulfill({ status: 204, headers });
    const answer = await fetch(`${server.url}/session`, { method: 'POST' });
    return route.fulfill({ status: answer.status, headers, contentType: 'application/json', body: await answer.text() });
  });
  const line = await newLine();
  await app.load(named(elsewhere), { server: `${line.url}/sync`, transport });
  await expect.poll(() => line.linksAsked).toContain(transport);
  await app.expectStatus('reconnecting');
  await expect(app.todos).toHaveCount(0);
  expect((await server.gauges()).connections).toBe(1);
});
