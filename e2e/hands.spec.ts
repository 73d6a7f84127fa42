import { App } from './support/app.ts';
import { expect, test } from './support/fixtures.ts';

const ONCE = { tag: '@once' };

test('a to-do is edited with the keyboard alone, and the focus stays in its row', ONCE, async ({ open }) => {
  const ada = await open();
  await ada.addTodo('Milk');
  await ada.addTodo('Bread');
  await ada.expectTodos(['Milk', 'Bread']);
  const row = ada.todos.first();
  const [text, input] = [row.getByTestId('todo-text'), row.getByTestId('todo-edit')];

  for (const [key, word] of [['Space', 'Oat'], ['Enter', 'Rice']] as const) {
    await text.focus();
    await ada.page.keyboard.press(key);
    await expect(input).toBeFocused();
    await ada.page.keyboard.press('Home');
    await ada.page.keyboard.type(`${word} `);
    await ada.page.keyboard.press('Enter');
    await expect(text).toHaveText(new RegExp(`^${word} `));
    await expect(text).toBeFocused();
  }
  await expect(text).toHaveText('Rice Oat Milk');

  await ada.page.keyboard.press('Space');
  await ada.page.keyboard.type('Wine');
  await ada.page.keyboard.press('Escape');
  await expect(text).toHaveText('Rice Oat Milk');
  await expect(text).toBeFocused();
});

test('an edit begins with a click, be it of a mouse or of a screen reader, and with a double click', ONCE, async ({ open }) => {
  const ada = await open();
  await ada.addTodo('Milk');
  const row = ada.todos.first();
  const [text, input] = [row.getByTestId('todo-text'), row.getByTestId('todo-edit')];
  for (const begin of [() => text.click(), () => text.dispatchEvent('click'), () => text.dblclick()]) {
    await begin();
    await expect(input).toBeFocused();
    await input.press('Escape');
    await expect(text).toBeFocused();
  }
  await expect(ada.root.getByRole('button', { name: 'Milk', exact: true })).toHaveText('Milk');
});

test('who leaves the field by going elsewhere is not called back', ONCE, async ({ open }) => {
  const ada = await open();
  await ada.addTodo('Milk');
  const row = ada.todos.first();
  const input = await ada.beginEdit(row);
  await input.fill('Oat milk');
  await ada.chatInput.click();
  await expect(row.getByTestId('todo-text')).toHaveText('Oat milk');
  await ada.expectTodos(['Oat milk']);
  await expect(ada.chatInput).toBeFocused();
});

test('who takes rows away with the keyboard goes on in the next row, and then in the field for a new one', ONCE, async ({ open }) => {
  const ada = await open();
  for (const text of ['one', 'two', 'three', 'four']) await ada.addTodo(text);
  await ada.expectTodos(['one', 'two', 'three', 'four']);
  await ada.todo('two').getByTestId('todo-delete').focus();
  for (const next of ['three', 'four', 'one']) {
    await ada.page.keyboard.press('Enter');
    await expect(ada.todo(next).getByTestId('todo-delete')).toBeFocused();
  }
  await ada.expectTodos(['one']);
  await ada.page.keyboard.press('Enter');
  await expect(ada.todoInput).toBeFocused();
  await ada.expectTodos([]);

  // what is cleared away, too, leaves nobody nowhere
  await ada.addTodo('five');
  await ada.toggleTodo('five');
  await ada.get('todo-clear').focus();
  await ada.page.keyboard.press('Enter');
  await ada.expectTodos([]);
  await expect(ada.get('todo-clear')).toBeDisabled();
  await expect(ada.get('todo-clear')).toBeFocused();
});

test('who takes messages back with the keyboard goes on in the next one, and then in the room', ONCE, async ({ open }) => {
  const ada = await open();
  for (const text of ['one', 'two', 'three']) {
    await ada.say(text);
    await expect(ada.message(text)).toHaveAttribute('data-state', 'confirmed');
  }
  await ada.message('two').getByTestId('chat-delete').focus();
  for (const next of ['three', 'one']) {
    await ada.page.keyboard.press('Enter');
    await expect(ada.message(next).getByTestId('chat-delete')).toBeFocused();
  }
  await ada.page.keyboard.press('Enter');
  await expect(ada.messages).toHaveCount(0);
  await expect(ada.get('chat-panel').getByRole('region')).toBeFocused();
});

test('who retries or dismisses a message with the keyboard stays in the room', ONCE, async ({ open }) => {
  const ada = await open({ room: 'members' });
  const room = ada.get('chat-panel').getByRole('region');
  await ada.say('first');
  await ada.say('second');
  for (const text of ['first', 'second']) await expect(ada.message(text)).toHaveAttribute('data-state', 'failed');
  await ada.message('first').getByTestId('chat-dismiss').focus();
  await ada.page.keyboard.press('Enter');
  await expect(ada.message('second').getByTestId('chat-dismiss')).toBeFocused();
  await expect(ada.messages).toHaveCount(1);

  await ada.chooseName('Ada');
  await ada.get('chat-retry').focus();
  await ada.page.keyboard.press('Enter');
  await expect(ada.message('second')).toHaveAttribute('data-state', 'confirmed');
  await expect(room).toBeFocused();
});

test('a to-do that is added below the fold comes into view, for who added it', ONCE, async ({ open, raw }) => {
  const texts = Array.from({ length: 60 }, (_, index) => `Row ${index + 1}`);
  await (await raw()).putTodos('main', texts);
  const ada = await open();
  const ben = await open();
  for (const page of [ada, ben]) await expect(page.todo('Row 1')).toBeInViewport();

  await ada.addTodo('one more');
  await expect(ada.todo('one more')).toBeInViewport();
  await expect(ben.todo('one more')).toBeVisible();
  await expect(ben.todo('Row 1')).toBeInViewport();
  await expect(ben.todo('one more')).not.toBeInViewport();
});

test('who loads older messages with the keyboard keeps the button until there are no more, and is then in the room', ONCE, async ({ open, raw, line }) => {
  await (await raw()).putMessages('lobby', Array.from({ length: 120 }, (_, index) => `message ${index}`));
  const ada = await open({ view: 'chat' });
  await expect(ada.messages).toHaveCount(50);
  const older = ada.get('chat-older');
  line.hold('down');
  await older.focus();
  await ada.page.keyboard.press('Enter');
  await expect(older).toHaveText('Loading…');
  await expect(older).toHaveAttribute('aria-busy', 'true');
  await expect(older).toBeFocused();
  // nothing more is asked for meanwhile
  await ada.page.keyboard.press('Enter');
  line.pass();
  await expect(ada.messages).toHaveCount(100);
  await expect(older).toHaveText('Load older messages');
  await expect(older).toHaveAttribute('aria-busy', 'false');
  await expect(older).toBeFocused();
  await ada.page.keyboard.press('Enter');
  await expect(ada.messages).toHaveCount(120);
  await expect(older).toHaveCount(0);
  await expect(ada.get('chat-panel').getByRole('region')).toBeFocused();
});

test('a name that is typed on while it is saved stays to be saved', ONCE, async ({ open, line }) => {
  const ada = await open();
  line.hold('down');
  await ada.nameInput.fill('Ann');
  await ada.nameInput.press('Enter');
  await expect(ada.get('name-save')).toBeDisabled();
  await ada.nameInput.pressSequentially('a');
  line.pass();
  await expect(ada.myName).toHaveText('Ann');
  await expect(ada.get('name-save')).toBeEnabled();
  await expect(ada.nameInput).toHaveValue('Anna');
  await ada.nameInput.press('Enter');
  await expect(ada.myName).toHaveText('Anna');
  await expect(ada.nameInput).toHaveValue('');
});

test('a message cannot be sent before the page knows whose it is, and the page says so', ONCE, async ({ open, pages, framework, line }) => {
  const known = await open();
  await known.chatInput.fill('Hello');
  await expect(known.get('chat-send')).toBeEnabled();
  await expect(known.get('chat-hint')).toHaveCount(0);

  const unknown = new App(await pages.open(), framework);
  await unknown.load(line.url, { server: '/nowhere/sync' });
  await expect(unknown.get('chat-send')).toBeDisabled();
  await unknown.chatInput.fill('Hello');
  await expect(unknown.get('chat-hint')).toBeVisible();
  await unknown.chatInput.press('Enter');
  await expect(unknown.chatInput).toHaveValue('Hello');
});

test.describe('without a pointer that can hover', { tag: '@touch' }, () => {
  test.use({ hasTouch: true, isMobile: true });

  test('what can be done to a row is to be seen', async ({ open }) => {
    const app = await open();
    await app.addTodo('Milk');
    await app.say('Hello');
    await expect(app.message('Hello')).toHaveAttribute('data-state', 'confirmed');
    await expect(app.message('Hello').getByTestId('chat-delete')).toHaveCSS('opacity', '1');
    await expect(app.todo('Milk').getByTestId('todo-delete')).toHaveCSS('opacity', '1');
  });
});
