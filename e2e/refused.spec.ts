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

test('what is longer than 500 characters stays where it was written, with the reason', { tag: '@once' }, async ({ open, raw }) => {
  const ada = await open();
  await ada.addTodo('Milk');
  await ada.settled();
  for (const [field, refused] of [['todo-input', 'todo-refused'], ['chat-input', 'chat-refused'], ['todo-edit', 'todo-edit-refused']] as const) {
    if (field === 'todo-edit') await ada.beginEdit(ada.todos.first());
    await ada.get(field).fill(TOO_LONG);
    await ada.get(field).press('Enter');
    await expect(ada.get(refused)).toHaveText(/501 characters/);
    await expect(ada.get(field)).toHaveValue(TOO_LONG);
  }
  // nor is it lost by going elsewhere
  await ada.chatInput.click();
  await expect(ada.chatInput).toBeFocused();
  await expect(ada.get('todo-edit')).toHaveValue(TOO_LONG);
  await ada.settled();
  await expect(ada.messages).toHaveCount(0);
  await expect(ada.refusals).toHaveCount(0);
  expect((await (await raw()).readTodos('main')).version, 'Milk and nothing else').toBe(1);

  // shortened, it is taken
  await ada.get('todo-edit').fill('Oat milk');
  await expect(ada.get('todo-edit-refused')).toBeEmpty();
  await ada.get('todo-edit').press('Enter');
  await ada.addTodo('Bread');
  await ada.expectTodos(['Oat milk', 'Bread']);
  await ada.say('Hello');
  await expect(ada.message('Hello')).toHaveAttribute('data-state', 'confirmed');
});
