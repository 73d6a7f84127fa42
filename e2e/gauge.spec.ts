import { expect, test } from './support/fixtures.ts';
import type { Server } from './support/server.ts';

async function expectGauges(server: Server, connections: number, subscriptions: number): Promise<void> {
  await expect
    .poll(async () => {
      const gauges = await server.gauges();
      return { connections: gauges.connections, subscriptions: gauges.subscriptions };
    })
    .toEqual({ connections, subscriptions });
}

test('nothing is left on the server of pages that have gone', async ({ open, server, line }) => {
  const ada = await open();
  const ben = await open();
  const cleo = await open({ as: ben });
  await expectGauges(server, 3, 6);
  expect(line.links).toBe(3);

  await ada.page.close();
  await expectGauges(server, 2, 4);
  await ben.page.goto('about:blank');
  await expectGauges(server, 1, 2);
  await cleo.page.close();
  await expectGauges(server, 0, 0);
});

test('a page that comes back with less to show watches less', async ({ open, server, line, transport }) => {
  const ada = await open({ view: 'both' });
  await expectGauges(server, 1, 2);
  await ada.load(line.url, { view: 'chat', transport });
  await ada.settled();
  await expect(ada.get('todo-panel')).toHaveCount(0);
  await expectGauges(server, 1, 1);
});

test('a page that is cut off is forgotten', async ({ open, server, line }) => {
  await open();
  await expectGauges(server, 1, 2);
  line.cut();
  await expectGauges(server, 0, 0);
});
