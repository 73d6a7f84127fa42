import { RECONNECT_MS, type App } from './support/app.ts';
import { expect, test } from './support/fixtures.ts';
import type { Server } from './support/server.ts';

const MODERATOR = 'moderator-of-this-test';

test.use({ serverOptions: ['--moderator', MODERATOR] });

test('who is taken out of a room sees nothing of it any more, and all else goes on', { tag: '@once' }, async ({ open, server, line }) => {
  const ada = await open();
  const ben = await open();
  await ben.say('for all');
  await expect(ada.message('for all')).toBeVisible();
  await ada.say('from Ada');
  await ada.addTodo('Milk');
  await ada.settled();

  const guest = await guestOf(ada);
  await decide(server, guest, true);
  await expectOut(ada);
  await ben.say('without her');
  await ben.settled();
  // the room is what she lost
  await ben.addTodo('Bread');
  await ada.expectTodos(['Milk', 'Bread']);
  await ada.addTodo('Eggs');
  await ben.expectTodos(['Milk', 'Bread', 'Eggs']);
  await ada.settled();
  await expect(ada.get('todo-status')).toHaveAttribute('data-status', 'live');
  await expectOut(ada);

  // nor does another visit bring it back, not even one that the server knows nothing of
  await ada.page.reload();
  await ada.expectTodos(['Milk', 'Bread', 'Eggs']);
  await ada.settled();
  await expectOut(ada);
  await ada.kept('Eggs');
  line.passPagesOnly();
  await ada.page.reload();
  await ada.expectTodos(['Milk', 'Bread', 'Eggs']);
  await expect(ada.messages).toHaveCount(0);
  line.pass();
  await ada.settled();
  await expectOut(ada);

  await decide(server, guest, false);
  await ada.page.reload();
  await expect(ada.get('chat-status')).toHaveAttribute('data-status', 'live', { timeout: RECONNECT_MS });
  await expect.poll(() => ada.messageTexts()).toEqual(['for all', 'from Ada', 'without her']);
  await expect(ada.message('from Ada')).toHaveAttribute('data-mine', 'true');
  await ada.say('back again');
  await expect(ben.message('back again')).toBeVisible();
});

/** Refused, with the reason and without a message. */
async function expectOut(app: App): Promise<void> {
  await expect(app.get('chat-status')).toHaveAttribute('data-status', 'failed');
  await expect(app.get('chat-watch-error')).toContainText('taken out');
  await expect(app.messages).toHaveCount(0);
}

/** Who the page is, by its cookie. */
async function guestOf(app: App): Promise<string> {
  return app.page.evaluate(async () => {
    const answer = await fetch('/session', { method: 'POST' });
    return ((await answer.json()) as { id: string }).id;
  });
}

async function decide(server: Server, guest: string, removed: boolean): Promise<void> {
  const answer = await fetch(`${server.url}/moderation`, {
    method: 'POST',
    headers: { authorization: `Bearer ${MODERATOR}`, 'content-type': 'application/json' },
    body: JSON.stringify({ room: 'lobby', guest, removed }),
  });
  expect(answer.status).toBe(204);
}
