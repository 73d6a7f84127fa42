import { expect, test } from './support/fixtures.ts';

// What a screen reader says by itself is what a status line holds each time it changes.

const ONCE = { tag: '@once' };

test('what others say is told to who does not see it, and what is only loaded is not', ONCE, async ({ open, raw, line, newLine }) => {
  const writer = await raw();
  const old = (room: string) => Array.from({ length: 60 }, (_, index) => `${room} ${index}`);
  await writer.putMessages('lobby', old('lobby'));
  await writer.putMessages('random', old('random'));
  const ben = await open({ view: 'chat', line: await newLine() });
  await ben.chooseName('Ben');
  const ada = await open({ view: 'chat' });
  await expect(ada.messages).toHaveCount(50);
  await expect(ada.chatList, 'or all that comes into it would be read').not.toHaveAttribute('aria-live');

  // all that the line has held, one after the other
  const heard = ada.get('chat-heard');
  await heard.evaluate((line) => {
    const told: string[] = [];
    new MutationObserver(() => {
      const text = [...line.children].map((said) => said.textContent).join(' | ');
      if (text !== '' && text !== told.at(-1)) told.push(text);
      line.setAttribute('data-told', told.join(' / '));
    }).observe(line, { childList: true, subtree: true, characterData: true });
  });
  await ada.say('Hello');
  await expect(ada.message('Hello')).toHaveAttribute('data-state', 'confirmed');
  await ben.say('Hi');
  await expect(heard).toHaveText('Ben: Hi');

  await ada.get('chat-older').click();
  await expect(ada.messages).toHaveCount(62);
  await ada.enterRoom('random');
  await expect(ada.messages).toHaveCount(50);
  await expect(heard).toBeEmpty();
  await ada.enterRoom('lobby');
  await expect(ada.messages).toHaveCount(50);

  // nor is what was missed while the line was gone
  line.cut();
  await ada.expectStatus('reconnecting');
  await ben.say('Are you there?');
  await expect(ben.message('Are you there?')).toHaveAttribute('data-state', 'confirmed');
  line.pass();
  await expect(ada.message('Are you there?')).toBeVisible();
  await ada.settled();
  await expect(ada.get('chat-status')).toHaveAttribute('data-status', 'live');
  await ben.say('Good');
  await expect(heard).toHaveText('Ben: Good');
  await expect(heard).toHaveAttribute('data-told', 'Ben: Hi / Ben: Good');
});

test('what waits is counted in the header, and only how the connection is is told', ONCE, async ({ open, line }) => {
  const ada = await open();
  const header = ada.root.locator('header');
  await header.evaluate((header) => {
    const told: string[] = [];
    new MutationObserver((records) => {
      for (const { target } of records) {
        const line = (target instanceof Element ? target : target.parentElement)?.closest('[role=status]');
        if (line) told.push(line.textContent ?? '');
      }
      if (told.length > 0) header.setAttribute('data-told', told.join(' / '));
    }).observe(header, { childList: true, subtree: true, characterData: true });
  });
  line.hold('down');
  await ada.addTodo('Milk');
  await expect(ada.badge).toContainText('1 pending');
  line.pass();
  await ada.settled();
  await expect(ada.badge).not.toContainText('pending');
  await expect(header).not.toHaveAttribute('data-told');

  line.cut();
  await expect(header).toHaveAttribute('data-told', /^Reconnecting…$/);
});
