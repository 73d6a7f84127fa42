import http from 'node:http';
import net from 'node:net';

import { expect, test } from '@playwright/test';
import { WebSocket, WebSocketServer } from 'ws';

import { Proxy } from './proxy.ts';

/** Echoes on WebSockets, answers POSTs with their own body. */
class Echo {
  readonly sockets = new WebSocketServer({ noServer: true });
  readonly connections = new Set<net.Socket>();
  readonly heard: string[] = [];
  readonly http = http.createServer((request, response) => {
    request.pipe(response);
  });

  get port(): number {
    return (this.http.address() as net.AddressInfo).port;
  }

  async start(): Promise<void> {
    this.http.on('connection', (socket) => {
      this.connections.add(socket);
      socket.on('close', () => this.connections.delete(socket));
    });
    this.http.on('upgrade', (request, socket, head) => {
      this.sockets.handleUpgrade(request, socket, head, (ws) =>
        ws.on('message', (data) => {
          this.heard.push(String(data));
          ws.send(String(data));
        }),
      );
    });
    await new Promise<void>((resolve) => this.http.listen(0, '127.0.0.1', resolve));
  }

  async stop(): Promise<void> {
    for (const socket of this.connections) socket.destroy();
    await new Promise((resolve) => this.http.close(resolve));
  }
}

class Caller {
  readonly got: string[] = [];
  closed = false;
  readonly socket: WebSocket;

  constructor(proxy: Proxy) {
    this.socket = new WebSocket(`${proxy.url.replace('http', 'ws')}/sync/ws`);
    this.socket.on('message', (data) => this.got.push(String(data)));
    this.socket.on('close', () => (this.closed = true));
    this.socket.on('error', () => {});
  }

  async opened(): Promise<this> {
    await expect.poll(() => this.socket.readyState).toBe(WebSocket.OPEN);
    return this;
  }
}

let echo: Echo;
let proxy: Proxy;

test.beforeEach(async () => {
  echo = new Echo();
  await echo.start();
  proxy = await Proxy.start(echo.port);
});

test.afterEach(async () => {
  await proxy.close();
  await echo.stop();
});

async function post(body: string): Promise<string> {
  const response = await fetch(`${proxy.url}/echo`, { method: 'POST', body });
  return response.text();
}

test('bytes pass both ways and connections are counted', async () => {
  const caller = await new Caller(proxy).opened();
  caller.socket.send('one');
  await expect.poll(() => caller.got).toEqual(['one']);
  expect(await post('two')).toBe('two');
  expect(proxy.linksAsked).toEqual(['ws']);
  expect(proxy.links).toBe(1);
  expect(proxy.requests.map((request) => request.method)).toEqual(['GET', 'POST']);
  caller.socket.close();
  await expect.poll(() => proxy.links).toBe(0);
});

test('several requests on one connection are all seen', async () => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  for (const body of ['a', 'b'.repeat(200_000), 'c']) {
    const answer = await new Promise<string>((resolve, reject) => {
      const request = http.request(`${proxy.url}/echo`, { method: 'POST', agent, headers: { 'content-length': body.length } });
      request.on('response', (response) => {
        let text = '';
        response.on('data', (bytes) => (text += String(bytes)));
        response.on('end', () => resolve(text));
      });
      request.on('error', reject);
      request.end(body);
    });
    expect(answer).toBe(body);
  }
  expect(proxy.requests).toHaveLength(3);
  expect(echo.connections.size).toBe(1);
  agent.destroy();
});

test('held bytes come later and in order', async () => {
  const caller = await new Caller(proxy).opened();
  proxy.hold('down');
  for (const word of ['1', '2', '3']) caller.socket.send(word);
  const other = post('held too');
  await expect.poll(() => proxy.requests.length).toBe(2);
  expect(caller.got).toEqual([]);
  proxy.pass();
  await expect.poll(() => caller.got).toEqual(['1', '2', '3']);
  expect(await other).toBe('held too');
});

test('holding up keeps the server from hearing anything', async () => {
  const caller = await new Caller(proxy).opened();
  const beside = await Proxy.start(echo.port);
  const other = await new Caller(beside).opened();
  proxy.hold('up');
  caller.socket.send('late');
  other.socket.send('now');
  await expect.poll(() => other.got).toEqual(['now']);
  expect(echo.heard).toEqual(['now']);
  proxy.pass();
  await expect.poll(() => caller.got).toEqual(['late']);
  await beside.close();
});

test('a cut line resets what is open and refuses what is new', async () => {
  const caller = await new Caller(proxy).opened();
  proxy.cut();
  await expect.poll(() => caller.closed).toBe(true);
  await expect(post('x')).rejects.toThrow();
  await expect.poll(() => echo.connections.size).toBe(0);
  expect(proxy.open).toBe(0);
  proxy.pass();
  expect(await post('x')).toBe('x');
});

test('a half-open line says nothing and forgets its connections afterwards', async () => {
  const caller = await new Caller(proxy).opened();
  caller.socket.send('before');
  await expect.poll(() => caller.got).toEqual(['before']);

  proxy.halfOpen();
  caller.socket.send('lost');
  const late = new Caller(proxy);
  await expect.poll(() => proxy.open).toBe(2);
  const gone = new Caller(proxy);
  await expect.poll(() => proxy.open).toBe(3);
  gone.socket.terminate();
  await expect.poll(() => proxy.open).toBe(2);
  expect(caller.closed).toBe(false);
  expect(late.closed).toBe(false);

  proxy.pass();
  await expect.poll(() => [caller.closed, late.closed]).toEqual([true, true]);
  expect(caller.got).toEqual(['before']);
  await expect.poll(() => echo.connections.size).toBe(0);
  expect(await post('after')).toBe('after');
});

test('a page that leaves a half-open line is forgotten by the server when the line is back', async () => {
  const caller = await new Caller(proxy).opened();
  proxy.halfOpen();
  caller.socket.terminate();
  await expect.poll(() => proxy.open).toBe(0);
  expect(echo.connections.size).toBe(1);
  proxy.pass();
  await expect.poll(() => echo.connections.size).toBe(0);
});

test('latency counts each way and keeps the order', async () => {
  const caller = await new Caller(proxy).opened();
  proxy.delay(100);
  const start = performance.now();
  for (const word of ['1', '2', '3']) caller.socket.send(word);
  await expect.poll(() => caller.got, { intervals: [5] }).toEqual(['1', '2', '3']);
  expect(performance.now() - start).toBeGreaterThanOrEqual(200);
});

test('only upgrades are refused', async () => {
  proxy.refuseUpgrade(426);
  const refused = new WebSocket(`${proxy.url.replace('http', 'ws')}/sync/ws`);
  const status = await new Promise((resolve) => {
    refused.on('unexpected-response', (_, response) => resolve(response.statusCode));
    refused.on('error', () => {});
  });
  expect(status).toBe(426);
  refused.terminate();
  expect(await post('passes')).toBe('passes');
  expect(proxy.linksAsked).toEqual(['ws']);
  proxy.refuseUpgrade(null);
  await new Caller(proxy).opened();
});

test('a server that dies takes the connection along', async () => {
  const caller = await new Caller(proxy).opened();
  for (const socket of echo.connections) socket.resetAndDestroy();
  await expect.poll(() => caller.closed).toBe(true);
});
