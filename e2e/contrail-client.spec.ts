import path from 'node:path';

import { expect, type Page } from '@playwright/test';

import { RECONNECT_MS } from './support/app.ts';
import { test } from './support/fixtures.ts';
import type { Proxy } from './support/proxy.ts';
import type { Server } from './support/server.ts';

// A plain client of contrail's watches the chat that the demo app writes: by EventSource where the project's transport is
// `sse`, by handshake and WebSocket where it is `ws`.

const SCRIPT = path.join(import.meta.dirname, 'support/contrail-client.js');
const WATCH = '/xrpc/dev.syncline.demo.message.watchRecords?spaceUri=room-lobby';

interface Guest {
  id: string;
  token: string;
}

interface Client {
  status: string;
  why: string | null;
  attempts: number;
  snapshots: number;
  events: string[];
  list(): {
    uri: string;
    did: string;
    time_us: number;
    value: { text: string };
    reactions?: { rkey: string; uri: string; value: { emoji: string } }[];
    reactionsCount?: number;
  }[];
  start(): void;
  stop(): void;
}

declare global {
  interface Window {
    client: Client;
    tickets: string[];
  }
}

async function newGuest(server: Server): Promise<Guest> {
  const answer = await fetch(`${server.url}/session`, { method: 'POST' });
  return (await answer.json()) as Guest;
}

/** A page without any cookie, whose tickets are minted with the guest's token. */
class PlainPage {
  private constructor(readonly page: Page) {}

  static async open(page: Page, line: Proxy, transport: 'ws' | 'sse', guest: Guest, watch = WATCH): Promise<PlainPage> {
    await page.goto(`${line.url}/healthz`);
    await page.addScriptTag({ path: SCRIPT });
    await page.evaluate(
      ({ watch, mint, transport, token }) => {
        window.tickets = [];
        const ticket = async () => {
          const headers = { authorization: `Bearer ${token}` };
          const answer = await fetch(mint, { method: 'POST', headers, credentials: 'omit' });
          if (answer.status === 403) throw Object.assign(new Error('forbidden'), { terminal: true });
          if (!answer.ok) throw new Error(`no ticket: ${answer.status}`);
          const { ticket } = (await answer.json()) as { ticket: string };
          window.tickets.push(ticket);
          return ticket;
        };
        // @ts-expect-error the script's class
        window.client = new ContrailClient(watch, { transport, ticket, backoff: [100, 1_000] });
        window.client.start();
      },
      { watch, mint: watch.replace('watchRecords', 'watchTicket'), transport, token: guest.token },
    );
    const plain = new PlainPage(page);
    await plain.expectStatus('live');
    return plain;
  }

  async expectStatus(status: string, timeout?: number): Promise<void> {
    await expect.poll(() => this.page.evaluate(() => window.client.status), { timeout }).toBe(status);
  }

  async expectTexts(texts: string[], timeout?: number): Promise<void> {
    const seen = () => this.page.evaluate(() => window.client.list().map((record) => record.value.text));
    await expect.poll(seen, { timeout }).toEqual(texts);
  }

  async numbers(): Promise<{ attempts: number; snapshots: number; tickets: number }> {
    return this.page.evaluate(() => {
      const { attempts, snapshots } = window.client;
      return { attempts, snapshots, tickets: window.tickets.length };
    });
  }
}

const MODERATOR = 'moderator-of-this-test';

test.use({ serverOptions: ['--ticket-lifetime', '2', '--moderator', MODERATOR] });

test('a plain client sees what the demo app writes and takes back', async ({ open, pages, server, line, transport }) => {
  const ada = await open({ room: 'lobby' });
  await ada.say('before');
  await expect(ada.message('before')).toHaveAttribute('data-state', 'confirmed');
  const plain = await PlainPage.open(await pages.open(), line, transport, await newGuest(server));
  await plain.expectTexts(['before']);

  await ada.say('größer als < "&" 🍞');
  await plain.expectTexts(['größer als < "&" 🍞', 'before']);
  await ada.message('before').getByTestId('chat-delete').click();
  await plain.expectTexts(['größer als < "&" 🍞']);
  const record = await plain.page.evaluate(() => window.client.list()[0]);
  expect(record?.uri).toMatch(/^at:\/\/[0-9a-f]+\/dev\.syncline\.demo\.message\/[^/]+$/);
  expect(Math.abs((record?.time_us ?? 0) / 1_000 - Date.now())).toBeLessThan(3_600_000);
  // one snapshot, and all else live
  expect(await plain.numbers()).toEqual({ attempts: 1, snapshots: 1, tickets: 1 });

  await plain.page.evaluate(() => window.client.stop());
  await expect.poll(async () => (await server.gauges()).connections).toBe(1);
});

test('a plain client survives a lost line and a restarted server', async ({ open, pages, server, newLine, transport }) => {
  const ada = await open({ room: 'lobby' });
  const otherLine = await newLine();
  const plain = await PlainPage.open(await pages.open(), otherLine, transport, await newGuest(server));
  await ada.say('one');
  await ada.say('two');
  await plain.expectTexts(['two', 'one']);

  otherLine.cut();
  await plain.expectStatus('reconnecting');
  await ada.message('one').getByTestId('chat-delete').click();
  await expect(ada.message('one')).toHaveCount(0);
  await ada.say('three');
  await ada.settled();
  // what was there stays to be seen meanwhile
  await plain.expectTexts(['two', 'one']);
  otherLine.pass();
  await plain.expectTexts(['three', 'two'], RECONNECT_MS);

  await server.stop();
  await plain.expectStatus('reconnecting');
  await server.start();
  await plain.expectStatus('live', RECONNECT_MS);
  await ada.settled();
  await ada.say('four');
  await plain.expectTexts(['four', 'three', 'two'], RECONNECT_MS);
});

test('a ticket that expires ends nothing, and a new connection takes a new one', async ({ open, pages, server, newLine, transport }) => {
  const ada = await open({ room: 'lobby' });
  const otherLine = await newLine();
  const plain = await PlainPage.open(await pages.open(), otherLine, transport, await newGuest(server));
  await ada.say('in time');
  await plain.expectTexts(['in time']);
  const [first] = await plain.page.evaluate(() => window.tickets);
  const asked = async () => (await fetch(`${server.url}${WATCH}&mode=ws&ticket=${first}`)).status;
  await expect.poll(asked).toBe(401);

  // it was good when it was shown
  await ada.say('past its time');
  await plain.expectTexts(['past its time', 'in time']);
  expect((await plain.numbers()).attempts).toBe(1);

  otherLine.cut();
  await plain.expectStatus('reconnecting');
  await ada.say('while away');
  await ada.settled();
  otherLine.pass();
  await plain.expectTexts(['while away', 'past its time', 'in time'], RECONNECT_MS);
  expect((await plain.numbers()).tickets).toBeGreaterThan(1);
});

test('who is taken out of the room is told so and does not come back', async ({ open, pages, server, line, transport }) => {
  const ada = await open({ room: 'lobby' });
  await ada.say('for all');
  const guest = await newGuest(server);
  const plain = await PlainPage.open(await pages.open(), line, transport, guest);
  const other = await PlainPage.open(await pages.open(), line, transport, await newGuest(server));
  await plain.expectTexts(['for all']);

  const decide = (removed: boolean) =>
    fetch(`${server.url}/moderation`, {
      method: 'POST',
      headers: { authorization: `Bearer ${MODERATOR}`, 'content-type': 'application/json' },
      body: JSON.stringify({ room: 'lobby', guest: guest.id, removed }),
    });
  expect((await decide(true)).status).toBe(204);
  await plain.expectStatus('removed');
  expect(await plain.page.evaluate(() => window.client.events.at(-1))).toBe('member.removed');
  await ada.say('without them');
  await other.expectTexts(['without them', 'for all']);
  await plain.expectTexts(['for all']);

  // another visit is refused, and goes well once they may come again
  const watch = async () =>
    (await fetch(`${server.url}${WATCH}&mode=ws`, { headers: { authorization: `Bearer ${guest.token}` } })).status;
  expect(await watch()).toBe(403);
  await decide(false);
  expect(await watch()).toBe(200);
  expect((await plain.numbers()).attempts).toBe(1);
});

test('reactions come along with their messages', async ({ pages, server, line, raw, transport }) => {
  const ada = await raw();
  await ada.putMessages('lobby', ['one', 'two']);
  const { rows } = await ada.read<{ id: string; author: string; text: string }>('room-lobby', 'messages');
  const react = async (text: string, emoji: string): Promise<string> => {
    const message = rows.find((row) => row.text === text);
    if (message === undefined) throw new Error(`no message ${text}`);
    const id = `${message.id}/${message.author}/${emoji}`;
    await ada.put('room-lobby', 'reactions', [{ id, message: message.id, author: message.author, emoji, at: Date.now() }]);
    return id;
  };
  const first = await react('one', '👍');
  const watch = `${WATCH}&hydrateReactions=10`;
  const plain = await PlainPage.open(await pages.open(), line, transport, await newGuest(server), watch);
  const seen = () =>
    plain.page.evaluate(() =>
      window.client.list().map(({ value, reactions }) => [value.text, ...(reactions ?? []).map((child) => child.value.emoji)]),
    );
  expect(await seen()).toEqual([['two'], ['one', '👍']]);
  const one = await plain.page.evaluate(() => window.client.list()[1]);
  expect(one?.reactionsCount).toBe(1);
  // its key has slashes and a picture in it, its address has not
  expect(one?.reactions?.[0]).toMatchObject({ rkey: first, uri: expect.stringMatching(/^at:\/\/[^/]+\/[^/]+\/[\w%.~-]+$/) });

  await react('two', '🎉');
  await react('one', '😂');
  await expect.poll(seen).toEqual([['two', '🎉'], ['one', '👍', '😂']]);
  await ada.delete('room-lobby', 'reactions', [first]);
  await expect.poll(seen).toEqual([['two', '🎉'], ['one', '😂']]);
});
