import path from 'node:path';

import { expect, type Page } from '@playwright/test';

import { RECONNECT_MS } from './support/app.ts';
import { test } from './support/fixtures.ts';
import type { Proxy } from './support/proxy.ts';

// A plain client of partysync's shares a list with the demo app.

const SCRIPT = path.join(import.meta.dirname, 'support/partysync-client.js');

type Row = [id: string, text: string, done: boolean, ...unknown[]];

interface PartyClient {
  status: string;
  heard: string[];
  closed: number | null;
  socket: WebSocket | null;
  list(): Row[];
  send(type: string, payload?: unknown): Promise<Row[]>;
  start(): void;
  leave(): void;
}

declare global {
  interface Window {
    party: PartyClient;
  }
}

/** A page of a guest of its own, with nothing but the plain client on it. */
class PlainPage {
  private constructor(readonly page: Page) {}

  static async open(page: Page, line: Proxy, list: string): Promise<PlainPage> {
    await page.goto(`${line.url}/healthz`);
    // the cookie is all that says who it is
    await page.evaluate(() => fetch('/session', { method: 'POST' }));
    await page.addScriptTag({ path: SCRIPT });
    await page.evaluate((room) => {
      // @ts-expect-error the script's class
      window.party = new PartysyncClient(`/parties/todos/${room}`, 'todos', { backoff: [100, 1_000] });
      window.party.start();
    }, list);
    const plain = new PlainPage(page);
    await plain.expectStatus('live');
    return plain;
  }

  async expectStatus(status: string, timeout?: number): Promise<void> {
    await expect.poll(() => this.page.evaluate(() => window.party.status), { timeout }).toBe(status);
  }

  async expectTexts(texts: string[], timeout?: number): Promise<void> {
    const seen = () => this.page.evaluate(() => window.party.list().map(([, text]) => text));
    await expect.poll(seen, { timeout }).toEqual(texts);
  }

  /** Does an action; the texts of its rows, or the error's. */
  send(type: string, payload: unknown = null): Promise<string[] | string> {
    return this.page.evaluate(
      ([type, payload]) =>
        window.party.send(type as string, payload).then(
          (rows) => rows.map(([, text]) => text),
          (error: unknown) => (error as Error).message,
        ),
      [type, payload],
    );
  }

  create(id: string, text: string, position: string): Promise<string[] | string> {
    return this.send('create', { id, text, position, created_at: Date.now() });
  }

  leave(): Promise<void> {
    return this.page.evaluate(() => window.party.leave());
  }

  async comeBack(): Promise<void> {
    await this.page.evaluate(() => window.party.start());
    await this.expectStatus('live');
  }
}

test('a plain client and the demo app share a list', async ({ open, pages, line }) => {
  const ada = await open({ list: 'shared' });
  const plain = await PlainPage.open(await pages.open(), line, 'shared');
  await ada.addTodo('from the app');
  await plain.expectTexts(['from the app']);

  expect(await plain.create('p1', 'from a plain client: größer < "&" 🍞', 'a5')).toEqual([
    'from a plain client: größer < "&" 🍞',
  ]);
  await expect(ada.todo('from a plain client: größer < "&" 🍞')).toHaveAttribute('data-state', 'confirmed');
  expect(await plain.send('toggle', { id: 'p1', done: true })).toHaveLength(1);
  await expect(ada.todo('from a plain client: größer < "&" 🍞').getByTestId('todo-toggle')).toBeChecked();
  expect(await plain.send('delete', { id: 'p1' })).toHaveLength(1);
  await expect(ada.todo('from a plain client: größer < "&" 🍞')).toHaveCount(0);
  await plain.expectTexts(['from the app']);

  // what the server refuses is said in its words, and nothing else comes of it
  expect(await plain.send('edit', { id: 'p1', text: 'gone' })).toBe('Somebody has deleted this to-do.');
  expect(await plain.send('fly')).toContain('not an action of this channel');
  await plain.expectTexts(['from the app']);
});

test('who was away is told what changed and what is gone', async ({ pages, line }) => {
  const ada = await PlainPage.open(await pages.open(), line, 'away');
  const bob = await PlainPage.open(await pages.open(), line, 'away');
  for (const [number, id] of ['a', 'b', 'c'].entries()) await ada.create(id, `text ${id}`, `a${number}`);
  await bob.expectTexts(['text a', 'text b', 'text c']);
  await bob.leave();
  await ada.send('delete', { id: 'a' });
  await ada.send('edit', { id: 'b', text: 'changed' });
  await ada.create('d', 'text d', 'a4');
  await bob.comeBack();
  await bob.expectTexts(['changed', 'text c', 'text d']);
  // a list that loses all its rows
  for (const id of ['b', 'c', 'd']) await ada.send('toggle', { id, done: true });
  await ada.send('clear_completed');
  await bob.expectTexts([]);
  await ada.expectTexts([]);
  expect(await bob.page.evaluate(() => window.party.heard)).toContain('delete-all');
});

test('a plain client survives a lost line and a restarted server', async ({ pages, line, newLine, server }) => {
  const ada = await PlainPage.open(await pages.open(), line, 'lost');
  const otherLine = await newLine();
  const bob = await PlainPage.open(await pages.open(), otherLine, 'lost');
  await ada.create('a', 'one', 'a0');
  await bob.expectTexts(['one']);
  otherLine.cut();
  await bob.expectStatus('reconnecting');
  await ada.send('delete', { id: 'a' });
  await ada.create('b', 'two', 'a1');
  otherLine.pass();
  await bob.expectTexts(['two'], RECONNECT_MS);

  await server.stop();
  await bob.expectStatus('reconnecting');
  await server.start();
  await bob.expectStatus('live', RECONNECT_MS);
  await ada.expectStatus('live', RECONNECT_MS);
  await ada.create('c', 'three', 'a2');
  await bob.expectTexts(['two', 'three']);
});

test('an address without a session is refused', async ({ pages, line }) => {
  const page = await pages.open();
  await page.goto(`${line.url}/healthz`);
  const closed = page.evaluate(
    () =>
      new Promise<boolean>((resolve) => {
        const socket = new WebSocket(`ws://${location.host}/parties/todos/shared?token=guess`);
        socket.onopen = () => resolve(false);
        socket.onclose = () => resolve(true);
      }),
  );
  expect(await closed).toBe(true);
});
