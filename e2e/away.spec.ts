import { RECONNECT_MS } from './support/app.ts';
import { expect, test } from './support/fixtures.ts';

test('what was deleted while a page was away is gone when it comes back', async ({ open, line, newLine }) => {
  const ada = await open();
  const ben = await open({ line: await newLine() });
  for (const text of ['stays', 'goes', 'goes too']) await ada.addTodo(text);
  await ben.expectTodos(['stays', 'goes', 'goes too']);
  await ada.settled();

  line.cut();
  await ada.expectStatus('reconnecting');
  await ben.deleteTodo('goes');
  await ben.addTodo('came meanwhile');
  await ben.deleteTodo('goes too');
  await ben.settled();
  // rows stay on screen while the line is gone
  await ada.expectTodos(['stays', 'goes', 'goes too']);

  line.pass();
  await ada.settled();
  await ada.expectTodos(['stays', 'came meanwhile'], RECONNECT_MS);
  expect(await ada.todoRows()).toEqual(await ben.todoRows());
});

test('a deletion reaches a page that was away also when the server was restarted in between', async ({ open, server, line, newLine }) => {
  const ada = await open();
  const ben = await open({ line: await newLine() });
  for (const text of ['stays', 'goes']) await ada.addTodo(text);
  await ben.expectTodos(['stays', 'goes']);
  await ada.settled();

  line.cut();
  await ada.expectStatus('reconnecting');
  await ben.deleteTodo('goes');
  await ben.settled();
  await server.kill();
  await server.start();
  await ben.settled();
  line.pass();
  await ada.settled();
  await ada.expectTodos(['stays'], RECONNECT_MS);
  await ben.expectTodos(['stays']);
});
