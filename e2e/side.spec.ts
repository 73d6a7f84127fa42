import { expect, test } from './support/fixtures.ts';

test('both apps stand side by side on the same data', { tag: '@once' }, async ({ openBoth }, info) => {
  const { leptos, dioxus } = await openBoth();
  for (const app of [leptos, dioxus]) {
    await expect(app.root).toHaveAttribute('data-framework', app.framework);
    await app.settled();
  }
  await leptos.addTodo('from Leptos');
  await dioxus.expectTodos(['from Leptos']);
  await dioxus.addTodo('from Dioxus');
  await leptos.expectTodos(['from Leptos', 'from Dioxus']);
  await leptos.say('Hello');
  await expect(dioxus.message('Hello')).toHaveAttribute('data-state', 'confirmed');
  await leptos.deleteTodo('from Dioxus');
  await dioxus.expectTodos(['from Leptos']);
  await info.attach('side by side', { body: await leptos.page.screenshot(), contentType: 'image/png' });
});
