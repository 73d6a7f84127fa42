import { expect } from '@playwright/test';

import { RECONNECT_MS, type App } from './support/app.ts';
import { ContrailService, type Shape } from './support/contrail.ts';
import { test as base } from './support/fixtures.ts';

// A contrail service of the visitor's own, in the apps' field for it: over event streams or sockets, as the project says.

const test = base.extend<{ service: (shape: Shape) => Promise<ContrailService> }>({
  service: async ({}, use) => {
    const services: ContrailService[] = [];
    await use(async (shape) => {
      const service = await ContrailService.start(shape);
      services.push(service);
      return service;
    });
    for (const service of services) await service.close();
  },
});

async function connect(app: App, service: ContrailService, ticket = 'ticket-of-did:plc:bob', identity = ''): Promise<void> {
  await app.get('own').getByText('Bring your own').click();
  await app.get('own-address').fill(service.url);
  await app.get('own-namespace').fill(service.namespace);
  await app.get('own-space').fill(service.space);
  await app.get('own-ticket').fill(ticket);
  await app.get('own-identity').fill(identity);
  await app.get('own-connect').click();
}

const texts = (app: App) => app.get('own-text').allTextContents();

test('the demo server is one: what is said in the chat shows in both', async ({ open, transport }) => {
  const ada = await open({ view: 'chat' });
  await ada.say('before');
  await ada.get('own').getByText('Bring your own').click();
  await ada.get('own-connect').click();
  await expect.poll(() => texts(ada)).toEqual(['before']);
  await expect(ada.get('own-status')).toHaveAttribute('data-transport', transport);
  await ada.say('after');
  await expect.poll(() => texts(ada)).toEqual(['after', 'before']);
  await expect(ada.get('own-status')).toHaveAttribute('data-status', 'live');
});

for (const shape of ['durable-object', 'in-memory'] as const) {
  // they differ in their sockets only
  const tag = shape === 'in-memory' ? ['@once'] : [];
  test(`a service of the ${shape} kind`, { tag }, async ({ open, service: start, transport }) => {
    const service = await start(shape);
    for (let n = 0; n < 60; n++) service.put(`m${String(n).padStart(3, '0')}`, `message ${n}`);
    const ada = await open({ view: 'chat' });
    await connect(ada, service);
    const newest = (from: number, to: number) => Array.from({ length: from - to }, (_, n) => `message ${from - 1 - n}`);
    await expect.poll(() => texts(ada)).toEqual(newest(60, 10));
    await expect(ada.get('own-status')).toHaveAttribute('data-transport', transport);

    // live events come for everything, in another unit: the window stays a window, and in order
    service.put('new', 'new');
    await expect.poll(() => texts(ada)).toEqual(['new', ...newest(60, 11)]);
    service.put('new', 'changed');
    service.delete('never');
    await expect.poll(() => texts(ada)).toEqual(['changed', ...newest(60, 11)]);
    service.delete('new');
    await expect.poll(() => texts(ada)).toEqual(newest(60, 10));
    expect(service.open).toBe(1);

    // away: the rows stay, and what was deleted meanwhile goes when it is back
    service.drop();
    service.delete('m059');
    service.put('while-away', 'while away');
    await expect(ada.get('own-status')).toHaveAttribute('data-status', 'live', { timeout: RECONNECT_MS });
    await expect.poll(() => texts(ada)).toEqual(['while away', ...newest(59, 10)]);

    service.remove('did:plc:bob');
    await expect(ada.get('own-status')).toHaveAttribute('data-status', 'failed');
    await expect(ada.get('own-message')).toHaveCount(0);
    await expect.poll(() => service.open).toBe(0);
  });
}

test('a service that refuses is told in its own words', { tag: '@once' }, async ({ open, service: start }) => {
  const service = await start('durable-object');
  service.remove('did:plc:bob');
  const ada = await open({ view: 'chat' });
  await connect(ada, service);
  await expect(ada.get('own-status')).toHaveAttribute('data-status', 'failed');
  await expect(ada.get('own-error')).toContainText('not-member');
  // another ticket is another try
  await ada.get('own-ticket').fill('ticket-of-did:plc:alice');
  await ada.get('own-connect').click();
  await expect(ada.get('own-status')).toHaveAttribute('data-status', 'live');
  expect(service.tickets.at(-1)).toBe('ticket-of-did:plc:alice');
});

test('a service that cannot be reached is told, until it can be', { tag: '@once' }, async ({ open, service: begin }) => {
  const service = await begin('durable-object');
  service.put('one', 'first');
  service.stop();
  const ada = await open({ view: 'chat' });
  await connect(ada, service);
  await expect(ada.get('own-status')).toHaveAttribute('data-status', 'reconnecting');
  await expect(ada.get('own-error')).not.toBeEmpty();
  service.start();
  await expect(ada.get('own-status')).toHaveAttribute('data-status', 'live', { timeout: RECONNECT_MS });
  await expect.poll(() => texts(ada)).toEqual(['first']);
  await expect(ada.get('own-error')).toHaveCount(0);
});

test('a ticket that expires ends nothing, and a new connection takes a new one', async ({ open, service: start }) => {
  const service = await start('durable-object');
  service.put('one', 'first');
  const ada = await open({ view: 'chat' });
  await connect(ada, service, service.mintAt('did:plc:bob'));
  await expect.poll(() => texts(ada)).toEqual(['first']);
  const first = service.tickets.at(-1);
  service.expireTickets();
  service.put('two', 'second');
  await expect.poll(() => texts(ada)).toEqual(['second', 'first']);
  await expect(ada.get('own-status')).toHaveAttribute('data-status', 'live');
  expect(service.tickets.at(-1)).toBe(first);

  service.drop();
  service.put('three', 'third');
  await expect.poll(() => texts(ada), { timeout: RECONNECT_MS }).toEqual(['third', 'second', 'first']);
  await expect(ada.get('own-status')).toHaveAttribute('data-status', 'live');
  expect(service.tickets.at(-1)).not.toBe(first);
  expect(service.refused).toBe(0);
});

test('a ticket that has expired and is all there is waits for another one, with the rows on the screen', { tag: '@once' }, async ({ open, service: start }) => {
  const service = await start('durable-object');
  service.put('one', 'first');
  const ada = await open({ view: 'chat' });
  const ticket = await (await fetch(service.mintAt('did:plc:bob'), { method: 'POST' })).json();
  await connect(ada, service, ticket.ticket);
  await expect.poll(() => texts(ada)).toEqual(['first']);
  service.expireTickets();
  service.drop();
  await expect(ada.get('own-status')).toHaveAttribute('data-status', 'needs-auth', { timeout: RECONNECT_MS });
  expect(await texts(ada)).toEqual(['first']);
  await ada.get('own-ticket').fill(service.mintAt('did:plc:bob'));
  await ada.get('own-connect').click();
  await expect(ada.get('own-status')).toHaveAttribute('data-status', 'live');
  await expect.poll(() => texts(ada)).toEqual(['first']);
});

test('a page that is loaded again while the service is down paints what it showed to the same person', async ({ open, service: begin }) => {
  const service = await begin('durable-object');
  service.put('one', 'first');
  service.put('two', 'second');
  const ada = await open({ view: 'chat' });
  const [bob, alice] = ['did:plc:bob', 'did:plc:alice'];
  await connect(ada, service, `ticket-of-${bob}`, bob);
  await expect.poll(() => texts(ada)).toEqual(['second', 'first']);
  await ada.kept('second');

  service.stop();
  await ada.page.reload();
  await connect(ada, service, `ticket-of-${bob}`, bob);
  await expect.poll(() => texts(ada)).toEqual(['second', 'first']);
  await expect(ada.get('own-status')).not.toHaveAttribute('data-status', 'live');
  // to others they are not shown, nor to somebody who says nothing
  for (const other of [alice, '']) {
    await ada.page.reload();
    await connect(ada, service, `ticket-of-${alice}`, other);
    await expect(ada.get('own-status')).toHaveAttribute('data-status', 'reconnecting');
    expect(await texts(ada)).toEqual([]);
  }

  // what is gone meanwhile goes with the fresh snapshot, and what is new comes
  await ada.page.reload();
  await connect(ada, service, `ticket-of-${bob}`, bob);
  await expect.poll(() => texts(ada)).toEqual(['second', 'first']);
  service.delete('one');
  service.put('three', 'third');
  service.start();
  await expect(ada.get('own-status')).toHaveAttribute('data-status', 'live', { timeout: RECONNECT_MS });
  await expect.poll(() => texts(ada)).toEqual(['third', 'second']);
});
