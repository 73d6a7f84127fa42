import { expect, test } from './support/fixtures.ts';

for (const status of [403, 426] as const) {
  test(`an app falls back to a streaming fetch where a WebSocket is answered by ${status}`, { tag: '@once' }, async ({ open, line, newLine }) => {
    line.refuseUpgrade(status);
    const ada = await open({ transport: 'auto' });
    const ben = await open({ transport: 'auto', line: await newLine() });
    await expect(ada.badge).toHaveAttribute('data-transport', 'sse');
    await expect(ben.badge).toHaveAttribute('data-transport', 'ws');
    expect(line.linksAsked[0], 'a WebSocket was tried first').toBe('ws');

    await ada.addTodo('over fetch');
    await ben.expectTodos(['over fetch']);
    await ben.editTodo('over fetch', 'over a WebSocket');
    await ada.expectTodos(['over a WebSocket']);
    await ada.say('Hello');
    await expect(ben.message('Hello')).toBeVisible();
  });
}

test('an app that has fallen back comes back after the line was cut', { tag: '@once' }, async ({ open, line }) => {
  line.refuseUpgrade(403);
  const ada = await open({ transport: 'auto' });
  await ada.addTodo('before');
  await ada.expectTodos(['before']);

  line.cut();
  await ada.expectStatus('reconnecting');
  await ada.addTodo('meanwhile');
  line.pass();
  await ada.settled();
  await expect(ada.badge).toHaveAttribute('data-transport', 'sse');
  await ada.expectTodos(['before', 'meanwhile']);
});

test('an app takes a WebSocket where there is one', { tag: '@once' }, async ({ open, line }) => {
  const ada = await open({ transport: 'auto' });
  await expect(ada.badge).toHaveAttribute('data-transport', 'ws');
  expect(line.linksAsked).toEqual(['ws']);
});

test('an app falls back at a contrail server too', { tag: '@once' }, async ({ open, line }) => {
  line.refuseUpgrade(403);
  const ada = await open({ transport: 'auto', view: 'chat' });
  await ada.say('before');
  await ada.get('own').getByText('Bring your own').click();
  await ada.get('own-connect').click();
  const seen = () => ada.get('own-text').allTextContents();
  await expect.poll(seen).toEqual(['before']);
  await expect(ada.get('own-status')).toHaveAttribute('data-transport', 'sse');
  await ada.say('after');
  await expect.poll(seen).toEqual(['after', 'before']);
});
