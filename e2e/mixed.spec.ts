import { expect, test } from './support/fixtures.ts';

test('a Leptos page and a Dioxus page follow each other through a todo list', async ({ open }) => {
  const leptos = await open({ framework: 'leptos' });
  const dioxus = await open({ framework: 'dioxus' });

  await leptos.addTodo('from Leptos');
  await dioxus.expectTodos(['from Leptos']);
  await dioxus.addTodo('from Dioxus');
  await leptos.expectTodos(['from Leptos', 'from Dioxus']);
  expect(await leptos.todoTexts()).toEqual(await dioxus.todoTexts());

  await dioxus.editTodo('from Leptos', 'edited in Dioxus');
  await leptos.expectTodos(['edited in Dioxus', 'from Dioxus']);
  await leptos.editTodo('from Dioxus', 'edited in Leptos');
  await dioxus.expectTodos(['edited in Dioxus', 'edited in Leptos']);

  await leptos.toggleTodo('edited in Dioxus');
  await expect(dioxus.todo('edited in Dioxus')).toHaveAttribute('data-done', 'true');
  await dioxus.deleteTodo('edited in Dioxus');
  await leptos.expectTodos(['edited in Leptos']);
  expect(await leptos.todoRows()).toEqual(await dioxus.todoRows());
});

test('a Leptos page and a Dioxus page chat', async ({ open }) => {
  const leptos = await open({ framework: 'leptos' });
  const dioxus = await open({ framework: 'dioxus' });
  await leptos.chooseName('Lea');
  await dioxus.chooseName('Dio');

  await leptos.say('Hello');
  await expect(dioxus.message('Hello').getByTestId('chat-author')).toHaveText('Lea');
  await dioxus.say('Hi Lea');
  await expect(leptos.message('Hi Lea').getByTestId('chat-author')).toHaveText('Dio');
  await expect(leptos.message('Hi Lea')).toHaveAttribute('data-mine', 'false');
  expect(await leptos.messageTexts()).toEqual(['Hello', 'Hi Lea']);
});
