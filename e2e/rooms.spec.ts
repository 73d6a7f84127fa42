import { expect, test } from './support/fixtures.ts';

interface Sight {
  room: string;
  title: string;
  texts: string[];
}

declare global {
  interface Window {
    sights: Sight[];
  }
}

const ROOMS = ['lobby', 'random', 'members'];

test('switching rooms back and forth never shows the messages of another room', async ({ open, line }) => {
  const ada = await open();
  await ada.chooseName('Ada');
  for (const room of ROOMS) {
    await ada.enterRoom(room);
    await expect(ada.chatList).toHaveAttribute('data-room', room);
    for (const number of [1, 2, 3]) await ada.say(`${room} ${number}`);
    await expect(ada.message(`${room} 3`)).toHaveAttribute('data-state', 'confirmed');
  }
  line.delay(300);

  await ada.page.evaluate(() => {
    const find = (id: string, root: ParentNode = document) => [...root.querySelectorAll<HTMLElement>(`[data-testid=${id}]`)];
    window.sights = [];
    const look = () => {
      for (const list of find('chat-list')) {
        window.sights.push({
          room: list.dataset.room ?? '',
          title: find('room-title')[0]?.textContent ?? '',
          texts: find('chat-text', list).map((text) => text.textContent ?? ''),
        });
      }
    };
    // What a person can see: the document as it stands after the task that changed it, and in every frame.
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = look;
    new MutationObserver(() => port2.postMessage(null)).observe(document.body, {
      subtree: true,
      childList: true,
      attributes: true,
      characterData: true,
    });
    const everyFrame = () => {
      look();
      requestAnimationFrame(everyFrame);
    };
    requestAnimationFrame(everyFrame);
  });

  const visits = ['lobby', 'random', 'lobby', 'members', 'random', 'members', 'lobby', 'random'];
  // some rooms are left at once, others when their rows have come
  for (const [index, room] of visits.entries()) {
    await ada.enterRoom(room);
    if (index % 3 === 2) await expect(ada.message(`${room} 3`)).toBeVisible();
  }
  await ada.roomTab('lobby').click();
  await ada.say('lobby 4');
  await ada.roomTab('random').click();
  await expect(ada.chatList).toHaveAttribute('data-room', 'random');
  await expect(ada.roomTab('random')).toHaveAttribute('aria-pressed', 'true');
  await expect.poll(() => ada.messageTexts()).toEqual(['random 1', 'random 2', 'random 3']);
  await ada.settled();
  await ada.roomTab('lobby').click();
  await expect.poll(() => ada.messageTexts()).toEqual(['lobby 1', 'lobby 2', 'lobby 3', 'lobby 4']);
  await expect(ada.message('lobby 4')).toHaveAttribute('data-state', 'confirmed');

  const sights = await ada.page.evaluate(() => window.sights);
  const withRows = sights.filter((sight) => sight.texts.length > 0);
  expect(new Set(withRows.map((sight) => sight.room)), 'rows of several rooms were seen').toEqual(new Set(ROOMS));
  expect(sights.filter((sight) => sight.texts.some((text) => !text.startsWith(`${sight.room} `)))).toEqual([]);
  expect(withRows.filter((sight) => !sight.title.toLowerCase().includes(sight.room))).toEqual([]);
});

test('a room that is left is not watched any longer', { tag: '@once' }, async ({ open, server }) => {
  const ada = await open({ view: 'chat' });
  await expect.poll(async () => (await server.gauges()).subscriptions).toBe(1);
  for (const room of ['random', 'members', 'random', 'lobby']) await ada.enterRoom(room);
  await expect(ada.chatList).toHaveAttribute('data-room', 'lobby');
  await expect(ada.get('chat-status')).toHaveAttribute('data-status', 'live');
  await expect.poll(async () => (await server.gauges()).subscriptions).toBe(1);
});
