import type { App } from './support/app.ts';
import { expect, test } from './support/fixtures.ts';

test('a person chooses how the page connects', { tag: '@once' }, async ({ open }) => {
  const ada = await open({ list: 'shop', transport: 'auto' });
  const ben = await open({ list: 'shop' });
  await expectChoice(ada, 'auto');
  await ada.addTodo('Milk');
  await ada.say('Hello');
  await ada.settled();
  await ben.expectTodos(['Milk']);

  await ada.get('transport-select').selectOption('Streaming fetch');
  await expect(ada.page).toHaveURL(/transport=sse/);
  await ada.settled();
  await expect(ada.badge).toHaveAttribute('data-transport', 'sse');
  await expectChoice(ada, 'sse');
  // the same person at the same list, and they can write
  await ada.expectTodos(['Milk']);
  await expect(ada.message('Hello')).toHaveAttribute('data-mine', 'true');
  await ada.addTodo('by a streaming fetch');
  await ben.expectTodos(['Milk', 'by a streaming fetch']);

  await ada.settled();
  await ada.get('transport-select').selectOption('WebSocket');
  await expect(ada.page).toHaveURL(/transport=ws/);
  await ada.settled();
  await expect(ada.badge).toHaveAttribute('data-transport', 'ws');
  await expectChoice(ada, 'ws');
  await ada.expectTodos(['Milk', 'by a streaming fetch']);
  await ada.addTodo('by a WebSocket');
  await ben.expectTodos(['Milk', 'by a streaming fetch', 'by a WebSocket']);
});

async function expectChoice(app: App, choice: string): Promise<void> {
  await expect(app.get('transport-select')).toHaveValue(choice);
}
