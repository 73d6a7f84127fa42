import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import type { BrowserContext } from '@playwright/test';

import { App } from './support/app.ts';
import { expect, test } from './support/fixtures.ts';

test('what is done offline survives a reload, and is done once', async ({ open, line, newLine, raw }) => {
  const ada = await open();
  const ben = await open({ line: await newLine() });
  await ada.addTodo('Milk');
  await ben.expectTodos(['Milk']);
  await ada.settled();
  await ada.kept('Milk');

  line.passPagesOnly();
  await ada.expectStatus('reconnecting');
  await ada.addTodo('Bread');
  await ada.editTodo('Milk', 'Oat milk');
  await ada.toggleTodo('Oat milk');
  await ada.say('Anyone?');
  await ada.expectPending(4);
  await ada.saved();
  for (const visit of ['first', 'second']) {
    await ada.page.reload();
    await expect(ada.todo('Oat milk'), visit).toHaveAttribute('data-state', 'pending');
    await expect(ada.todo('Oat milk'), visit).toHaveAttribute('data-done', 'true');
    await expect(ada.todo('Bread'), visit).toHaveAttribute('data-state', 'pending');
    await ada.expectPending(4);
  }
  // and work goes on
  await ada.addTodo('Eggs');
  await ada.expectPending(5);
  await ben.expectTodos(['Milk']);

  line.pass();
  await ada.settled();
  for (const page of [ada, ben]) await page.expectTodos(['Oat milk', 'Bread', 'Eggs']);
  await expect(ben.message('Anyone?')).toBeVisible();
  expect(await ada.todoRows()).toEqual(await ben.todoRows());
  expect((await (await raw()).readTodos('main')).version, 'five actions on the list, each once').toBe(5);
});

test('what is done offline survives the end of the browser process', { tag: '@once' }, async ({ playwright, browserName, launchOptions, channel, framework, transport, line, raw }) => {
  const profile = await mkdtemp(path.join(tmpdir(), 'syncline-profile-'));
  const start = () => playwright[browserName].launchPersistentContext(profile, { ...launchOptions, channel });
  const visit = async (context: BrowserContext) => {
    const app = new App(context.pages()[0] ?? (await context.newPage()), framework);
    await app.load(line.url, { transport, view: 'todos' });
    return app;
  };
  try {
    // cookies are on disk after a visit that ends in peace; a browser writes them late
    const first = await start();
    const before = await visit(first);
    await before.settled();
    await before.addTodo('Milk');
    await before.settled();
    await before.kept('Milk');
    await first.close();

    const killed = await start();
    const ada = await visit(killed);
    await ada.settled();
    await ada.expectTodos(['Milk']);
    line.passPagesOnly();
    await ada.addTodo('Bread');
    await ada.editTodo('Milk', 'Oat milk');
    await ada.expectPending(2);
    await ada.saved();
    const gone = new Promise((resolve) => killed.once('close', resolve));
    kill(profile);
    await gone;

    const last = await start();
    const back = await visit(last);
    await expect(back.todo('Oat milk')).toHaveAttribute('data-state', 'pending');
    await expect(back.todo('Bread')).toHaveAttribute('data-state', 'pending');
    await back.expectPending(2);
    line.pass();
    await back.settled();
    await back.expectTodos(['Oat milk', 'Bread']);
    expect((await (await raw()).readTodos('main')).version, 'three actions, each once').toBe(3);
    await last.close();
  } finally {
    kill(profile);
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
});

/** `kill -9` for every process of the browser on this profile: no handler of it runs. */
function kill(profile: string): void {
  const processes = execFileSync('ps', ['-axo', 'pid=,args='], { encoding: 'utf8' }).split('\n');
  for (const line of processes) {
    const [, pid, args] = /^\s*(\d+) (.*)$/.exec(line) ?? [];
    if (pid === undefined || !args?.includes(profile)) continue;
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // it has ended with its parent
    }
  }
}
