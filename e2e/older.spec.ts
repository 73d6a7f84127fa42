import { expect, test } from './support/fixtures.ts';

const texts = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => `message ${from + index}`);

test('older messages are loaded while new ones come in, and no node is replaced', async ({ open, raw, line }) => {
  const writer = await raw();
  await writer.putMessages('lobby', texts(0, 120));
  const ada = await open({ view: 'chat' });
  await expect.poll(() => ada.messageTexts()).toEqual(texts(70, 120));

  // each node is marked, and the list remembers how short it has been since
  await ada.messages.evaluateAll((nodes) => nodes.forEach((node) => node.setAttribute('data-seen', 'yes')));
  await ada.chatList.evaluate((list) => {
    let least = list.children.length;
    new MutationObserver(() => {
      least = Math.min(least, list.children.length);
      list.setAttribute('data-least', String(least));
    }).observe(list, { childList: true });
  });
  line.hold('down');
  await ada.get('chat-older').click();
  await expect(ada.get('chat-older')).toHaveText('Loading…');
  await writer.putMessages('lobby', ['new']);
  expect(await ada.messageTexts(), 'both are still to come').toEqual(texts(70, 120));
  line.pass();
  await expect.poll(() => ada.messageTexts()).toEqual([...texts(21, 120), 'new']);
  await expect(ada.chatList.locator('[data-seen]')).toHaveCount(50);

  await ada.get('chat-older').click();
  await expect.poll(() => ada.messageTexts()).toEqual([...texts(0, 120), 'new']);
  await expect(ada.get('chat-older')).toHaveCount(0);
  await expect(ada.chatList.locator('[data-seen]')).toHaveCount(50);
  await expect(ada.chatList).toHaveAttribute('data-least', '50');
  await ada.settled();
});

test('who has scrolled back stays there while others write, and sees what they say themselves', { tag: '@once' }, async ({ open, raw }) => {
  const writer = await raw();
  await writer.putMessages('lobby', texts(0, 60));
  const ada = await open({ view: 'chat' });
  await expect.poll(() => ada.messageTexts()).toEqual(texts(10, 60));
  await ada.get('chat-older').scrollIntoViewIfNeeded();
  await expect(ada.messages.first()).toBeInViewport();

  await writer.putMessages('lobby', ['from somebody else']);
  await expect(ada.messages.last()).toContainText('from somebody else');
  await expect(ada.messages.last()).not.toBeInViewport();

  await ada.get('chat-input').fill('from me');
  await ada.get('chat-input').press('Enter');
  await expect(ada.messages.last()).toContainText('from me');
  await expect(ada.messages.last()).toBeInViewport();
});

test('of a window that was away only what is new is sent', { tag: '@once' }, async ({ open, raw, line }) => {
  const writer = await raw();
  await writer.putMessages('lobby', texts(0, 60));
  const ada = await open({ view: 'chat' });
  await expect.poll(() => ada.messageTexts()).toEqual(texts(10, 60));
  line.cut();
  await ada.expectStatus('reconnecting');
  await writer.putMessages('lobby', ['meanwhile']);
  const before = line.received;
  line.pass();
  await expect.poll(() => ada.messageTexts()).toEqual([...texts(11, 60), 'meanwhile']);
  await ada.settled();
  // a whole window is 8 KB
  expect(line.received - before).toBeLessThan(4_000);
});

test('of messages of one moment none is missing and none comes twice', { tag: '@once' }, async ({ open, raw }) => {
  const writer = await raw();
  await writer.putMessages('lobby', texts(0, 120), { allAt: Date.now() });
  const ada = await open({ view: 'chat' });
  const keys = async () => (await ada.messageRows()).map((row) => row.key);
  await expect(ada.messages).toHaveCount(50);
  const newest = await keys();

  // a longer window ends like the shorter one: nothing moves under who reads
  await ada.get('chat-older').click();
  await expect(ada.messages).toHaveCount(100);
  expect((await keys()).slice(-50)).toEqual(newest);
  await ada.get('chat-older').click();
  await expect(ada.messages).toHaveCount(120);
  expect((await keys()).slice(-50)).toEqual(newest);
  expect((await ada.messageTexts()).sort()).toEqual(texts(0, 120).sort());
  await expect(ada.get('chat-older')).toHaveCount(0);
  await ada.settled();

  // and another page has them in the same order
  const ben = await open({ view: 'chat' });
  await ben.get('chat-older').click();
  await expect(ben.messages).toHaveCount(100);
  await ben.get('chat-older').click();
  await expect(ben.messages).toHaveCount(120);
  expect((await ben.messageRows()).map((row) => row.key)).toEqual(await keys());
});
