import { RECONNECT_MS } from './support/app.ts';
import { test } from './support/fixtures.ts';

test.use({ serverOptions: ['--heartbeat', '1'] });

// a second of silence, ten for the answer, and time for a slow machine; with the heartbeat of 30 s this is too soon
const NOTICED_MS = 25_000;

test('a page on which nobody does anything notices a silent line, and comes back with it', async ({ open, line, newLine }) => {
  const idle = await open();
  const ben = await open({ line: await newLine() });
  await ben.addTodo('before');
  await idle.expectTodos(['before']);

  line.halfOpen();
  await ben.addTodo('meanwhile');
  await ben.settled();
  await idle.expectStatus('reconnecting', NOTICED_MS);
  await idle.expectTodos(['before']);

  line.pass();
  await idle.settled();
  await idle.expectTodos(['before', 'meanwhile'], RECONNECT_MS);
});
