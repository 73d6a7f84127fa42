import { once } from 'node:events';
import net from 'node:net';

import { expect, test } from '@playwright/test';

import { RawClient } from './raw.ts';
import { Server } from './server.ts';

let server: Server;

test.beforeEach(async () => {
  server = await Server.start();
});

test.afterEach(async () => {
  await server.dispose();
});

test('a server that was killed comes back on its port with its data', async () => {
  const { port } = server;
  const before = await RawClient.connect(server);
  await before.putTodos('main', ['one', 'two']);
  await before.putTodos('main', ['three']);
  await server.kill();
  await expect(server.gauges()).rejects.toThrow();

  await server.start();
  expect(server.port).toBe(port);
  const after = await RawClient.connect(server);
  const { version, rows } = await after.readTodos('main');
  // each of them is an action of its own
  expect(version).toBe(3);
  expect(rows.map((row) => row.text).sort()).toEqual(['one', 'three', 'two']);
  after.close();
});

test('a server that is asked to stop ends by itself', async () => {
  const client = await RawClient.connect(server);
  expect(await server.stop()).toBe(0);
  client.close();
});

test('a server that is asked to stop ends although somebody never ends a request', async () => {
  const socket = net.connect(server.port, '127.0.0.1');
  socket.on('error', () => {});
  const head = ['POST /session/name HTTP/1.1', 'host: localhost', 'content-type: application/json', 'content-length: 9', 'expect: 100-continue'];
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  // the server waits for the body from here on
  const [answer] = (await once(socket, 'data')) as [Buffer];
  expect(String(answer)).toContain('100 Continue');

  expect(await server.stop()).toBe(0);
  socket.destroy();
});

test('the gauges count connections and subscriptions', async () => {
  expect(await server.gauges()).toMatchObject({ connections: 0, subscriptions: 0 });
  const client = await RawClient.connect(server);
  await expect.poll(() => server.gauges()).toMatchObject({ connections: 1, subscriptions: 0 });
  client.close();
  await expect.poll(() => server.gauges()).toMatchObject({ connections: 0 });
});

test('a refused write says why', async () => {
  const client = await RawClient.connect(server);
  await expect(client.putTodos('main', ['x'.repeat(501)])).rejects.toThrow('refused');
  await client.putTodos('main', ['short']);
  expect((await client.readTodos('main')).rows).toHaveLength(1);
  client.close();
});
