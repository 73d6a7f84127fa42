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
