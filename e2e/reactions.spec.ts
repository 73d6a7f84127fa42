import type { App } from './support/app.ts';
import { expect, test } from './support/fixtures.ts';

const THUMB = '👍';
const PARTY = '🎉';

/** The button of one reaction to the message with this text. */
const reaction = (app: App, text: string, emoji: string) =>
  app.message(text).getByTestId('reaction').and(app.page.locator(`[data-emoji="${emoji}"]`));

/** It stands hidden until somebody has given it or the message is pointed at. */
async function react(app: App, text: string, emoji: string): Promise<void> {
  await app.message(text).hover();
  await reaction(app, text, emoji).click();
}

/** How many have given it, and whether this person has. */
async function expectReaction(app: App, text: string, emoji: string, count: number, mine: boolean): Promise<void> {
  const button = reaction(app, text, emoji);
  await expect(button.getByTestId('reaction-count')).toHaveText(count === 0 ? '' : String(count));
  await expect(button).toHaveAttribute('aria-pressed', String(mine));
}

const expectCount = (app: App, text: string, count: number) =>
  expect(app.message(text).getByTestId('reactions')).toHaveAttribute('data-count', String(count));

test('reactions stand under their messages on every page and are taken back', async ({ open, raw }) => {
  await (await raw()).putMessages('lobby', ['one', 'two']);
  const ada = await open({ view: 'chat' });
  const bob = await open({ view: 'chat' });
  await expect(ada.messages).toHaveCount(2);

  await react(ada, 'one', THUMB);
  await expectReaction(ada, 'one', THUMB, 1, true);
  await expectReaction(bob, 'one', THUMB, 1, false);
  await react(bob, 'one', THUMB);
  await react(bob, 'one', PARTY);
  for (const [app, party] of [[ada, false], [bob, true]] as const) {
    await expectReaction(app, 'one', THUMB, 2, true);
    await expectReaction(app, 'one', PARTY, 1, party);
    await expectReaction(app, 'two', THUMB, 0, false);
    await expectCount(app, 'one', 3);
    await expectCount(app, 'two', 0);
  }

  await react(bob, 'one', THUMB);
  await expectReaction(bob, 'one', THUMB, 1, false);
  await expectReaction(ada, 'one', THUMB, 1, true);
  await expectCount(ada, 'one', 2);
  await ada.settled();
  await bob.settled();
});

test('an own reaction shows at once, settles without a flicker and replaces no message', async ({ open, raw, line }) => {
  await (await raw()).putMessages('lobby', ['one', 'two']);
  const ada = await open({ view: 'chat' });
  await expect(ada.messages).toHaveCount(2);
  await ada.messages.evaluateAll((nodes) => nodes.forEach((node) => node.setAttribute('data-seen', 'yes')));
  // what the count was, each time it changed
  await ada.message('one').evaluate((message) => {
    const seen: string[] = [];
    const note = () => {
      const count = message.querySelector('[data-testid=reactions]')?.getAttribute('data-count') ?? '';
      if (seen.at(-1) !== count) seen.push(count);
      message.setAttribute('data-counts', seen.join(' '));
    };
    note();
    new MutationObserver(note).observe(message, { subtree: true, childList: true, characterData: true, attributeFilter: ['data-count'] });
  });

  line.hold('both');
  await react(ada, 'one', THUMB);
  await expectReaction(ada, 'one', THUMB, 1, true);
  await expectCount(ada, 'one', 1);
  await expect(reaction(ada, 'one', THUMB)).toHaveAttribute('data-state', 'pending');
  line.pass();
  await expect(reaction(ada, 'one', THUMB)).toHaveAttribute('data-state', 'confirmed');
  await ada.settled();
  await expect(ada.message('one')).toHaveAttribute('data-counts', '0 1');
  await expect(ada.chatList.locator('[data-seen]')).toHaveCount(2);
});

test('reactions that came while the line was gone are there when it is back', { tag: '@once' }, async ({ open, raw, newLine }) => {
  await (await raw()).putMessages('lobby', ['one', 'two']);
  const line = await newLine();
  const ada = await open({ view: 'chat', line });
  const bob = await open({ view: 'chat' });
  await react(bob, 'one', THUMB);
  await expectReaction(ada, 'one', THUMB, 1, false);
  line.cut();
  await ada.expectStatus('reconnecting');
  await react(bob, 'one', THUMB);
  await react(bob, 'two', PARTY);
  await bob.settled();
  await expectReaction(ada, 'one', THUMB, 1, false);
  line.pass();
  await expectReaction(ada, 'one', THUMB, 0, false);
  await expectReaction(ada, 'two', PARTY, 1, false);
  await ada.settled();
});

test('a reaction that is refused is marked with the reason, and goes when it is clicked again', { tag: '@once' }, async ({ open }) => {
  const writer = await open({ view: 'chat', room: 'members' });
  await writer.chooseName('Grace');
  await writer.say('for members');
  const ada = await open({ view: 'chat', room: 'members' });
  await react(ada, 'for members', THUMB);
  const button = reaction(ada, 'for members', THUMB);
  await expect(button).toHaveAttribute('data-state', 'failed');
  await expect(ada.message('for members').getByRole('alert')).toHaveText(/Choose a name/);
  await expectCount(ada, 'for members', 0);
  await react(ada, 'for members', THUMB);
  await expectReaction(ada, 'for members', THUMB, 0, false);
  await expect(ada.message('for members').getByRole('alert')).toHaveCount(0);
});
