import { execFileSync } from 'node:child_process';

import { RECONNECT_MS } from './support/app.ts';
import { Desktop, WINDOW } from './support/desktop.ts';
import { expect, test } from './support/fixtures.ts';

// `cargo xtask desktop --test` runs it. What is in the window is seen as a person sees it: by what is drawn and what comes
// of a click. Where to look and to click is what the same page says in a browser that is as large.
test.use({ framework: 'dioxus', transport: 'ws', viewport: WINDOW });

test('edits travel between the desktop and a browser, also those made offline before a restart', async ({ open, newLine, raw }, info) => {
  const ada = await open({ view: 'todos' });
  const cable = await newLine();
  const address = `${cable.url}/dioxus/?view=todos&transport=ws`;
  const window = await Desktop.on();
  try {
    await window.open(address);
    await ada.settled();

    // from the desktop to the browser
    await expect(async () => {
      await window.click(ada.todoInput);
      await window.type('Milk');
      await window.press('Return');
      await ada.expectTodos(['Milk'], 5_000);
    }, 'the field is there when the app has started').toPass();

    // from the browser to the desktop: who ticks it off there has seen it
    const belowMilk = await window.look(ada.todo('Milk'), 1);
    await ada.addTodo('Bread');
    await ada.expectTodos(['Milk', 'Bread']);
    const bread = ada.todo('Bread');
    await window.changes(belowMilk);
    await window.click(bread.getByTestId('todo-toggle'));
    await expect(bread).toHaveAttribute('data-done', 'true');

    // offline on the desktop, then its end, then its next start
    cable.passPagesOnly();
    const belowBread = await window.look(bread, 1);
    await window.click(ada.todo('Milk').getByTestId('todo-toggle'));
    await window.click(ada.todoInput);
    await window.type('Eggs');
    await window.press('Return');
    await window.changes(belowBread);
    // and what was done before it: they are kept in order
    await window.kept('Eggs');
    const waiting = await window.look(bread, 1);
    window.photograph(info.outputPath('offline.png'));
    await window.kill();
    await ada.expectTodos(['Milk', 'Bread']);
    await expect(ada.todo('Milk')).toHaveAttribute('data-done', 'false');

    await window.open(address);
    await window.shows(waiting);
    cable.pass();
    await ada.expectTodos(['Milk', 'Bread', 'Eggs'], RECONNECT_MS);
    await expect(ada.todo('Milk')).toHaveAttribute('data-done', 'true');
    expect((await (await raw()).readTodos('main')).version, 'five actions, each once').toBe(5);

    // the person at the browser goes on, and the desktop sees that too
    await window.changes(waiting);
    const eggs = await window.look(ada.todo('Eggs'));
    await ada.toggleTodo('Eggs');
    await window.changes(eggs);
    const pictures = ['desktop', 'browser', 'both'].map((name) => info.outputPath(`${name}.png`)) as [string, string, string];
    window.photograph(pictures[0]);
    await ada.page.screenshot({ path: pictures[1] });
    execFileSync('convert', [pictures[0], pictures[1], '+append', pictures[2]]);
  } finally {
    await info.attach('desktop.log', { body: window.log.join(''), contentType: 'text/plain' });
    await window.dispose();
  }
});
