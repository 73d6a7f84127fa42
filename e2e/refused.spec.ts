import { expect, test } from './support/fixtures.ts';

const TOO_LONG = 'x'.repeat(501);

test('a refused message is marked with the reason and can be dismissed', async ({ open }) => {
  const ada = await open({ room: 'members' });
  const ben = await open({ room: 'members' });

  await ada.say('May I?');
  const row = ada.message('May I?');
  await expect(row).toHaveAttribute('data-state', 'failed');
  await expect(row.getByTestId('chat-error')).toContainText(/name/i);
  await row.getByTestId('chat-dismiss').click();
  await expect(ada.messages).toHaveCount(0);
  await ada.settled();

  // what was refused has stopped nothing behind it
  await ada.chooseName('Ada');
  await ada.say('Now I may');
  await expect(ben.message('Now I may').getByTestId('chat-author')).toHaveText('Ada');
  expect(await ben.messageTexts()).toEqual(['Now I may']);
});

test('a refused message is sent again once a name is chosen', async ({ open }) => {
  const ada = await open({ room: 'members' });
  const ben = await open({ room: 'members' });

  await ada.say('May I?');
  const row = ada.message('May I?');
  await expect(row).toHaveAttribute('data-state', 'failed');
  await expect(ben.messages).toHaveCount(0);

  // still without a name, it is refused again
  await row.getByTestId('chat-retry').click();
  await expect(row).toHaveAttribute('data-state', 'failed');
  await ada.expectPending(0);

  await ada.chooseName('Ada');
  await row.getByTestId('chat-retry').click();
  await expect(row).toHaveAttribute('data-state', 'confirmed');
  await expect(row.getByTestId('chat-error')).toHaveCount(0);
  await expect(ben.message('May I?')).toHaveAttribute('data-state', 'confirmed');
  expect(await ada.messageTexts()).toEqual(['May I?']);
  expect(await ben.messageTexts()).toEqual(['May I?']);
});

test('a message of more than 500 characters is refused', { tag: '@once' }, async ({ open }) => {
  const ada = await open();
  const ben = await open();

  await ada.say(TOO_LONG);
  await expect(ada.messages).toHaveAttribute('data-state', 'failed');
  await expect(ada.messages.getByTestId('chat-error')).not.toBeEmpty();
  await ada.messages.getByTestId('chat-dismiss').click();
  await expect(ada.messages).toHaveCount(0);
  await ada.say('Shorter');
  await expect(ben.message('Shorter')).toBeVisible();
  expect(await ben.messageTexts()).toEqual(['Shorter']);
});
