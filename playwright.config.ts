import { defineConfig, type PlaywrightTestConfig } from '@playwright/test';

import { chromium, firefox } from './e2e/support/browsers.ts';
import type { Choices } from './e2e/support/fixtures.ts';

type Project = NonNullable<PlaywrightTestConfig<Choices>['projects']>[number];

// Variations of a scenario that do not depend on how bytes travel run over a WebSocket only.
const NOT_AGAIN_OVER_SSE = /@once/;
// These four hold each pair of a framework, a browser and a transport, and run everything.
const PAIRS = ['leptos-chromium-ws', 'dioxus-firefox-ws', 'leptos-firefox-sse', 'dioxus-chromium-sse'];
// What the other four combinations run: how a page lives with its line, its tabs and its storage.
const EVERYWHERE = /(away|instant-paint|network|offline|older|one-socket|order|reload|share|two-tabs)\.spec\.ts/;
// `cargo xtask test --every-combination`: all of them run everything.
const every = Boolean(process.env.SYNCLINE_EVERY_COMBINATION);
// Firefox cannot be told to be a touch screen.
const CHROMIUM_ONLY = /@touch/;
// These open pages of both frameworks themselves.
const BOTH_FRAMEWORKS = /(mixed|side)\.spec\.ts/;
// It needs a window: `cargo xtask desktop --test` runs it.
const DESKTOP = /desktop\.spec\.ts/;

const apps: Project[] = (['leptos', 'dioxus'] as const).flatMap((framework) =>
  [chromium(), firefox()].flatMap((browser) =>
    (['ws', 'sse'] as const).map((transport) => {
      const name = `${framework}-${browser.name}-${transport}`;
      const everything = every || PAIRS.includes(name);
      return {
        name,
        testDir: 'e2e',
        testMatch: everything ? /\.spec\.ts$/ : EVERYWHERE,
        testIgnore: framework === 'leptos' ? [DESKTOP] : [DESKTOP, BOTH_FRAMEWORKS],
        grepInvert: [
          ...(everything && transport === 'ws' ? [] : [NOT_AGAIN_OVER_SSE]),
          ...(browser.name === 'chromium' ? [] : [CHROMIUM_ONLY]),
        ],
        use: { ...browser.use, framework, transport },
      };
    }),
  ),
);

export default defineConfig<Choices>({
  forbidOnly: true,
  fullyParallel: true,
  workers: 2,
  retries: 0,
  timeout: 90_000,
  expect: { timeout: 20_000 },
  reporter: [['list'], ['html', { open: 'never', outputFolder: 'target/e2e/report' }]],
  outputDir: 'target/e2e/results',
  use: { screenshot: 'only-on-failure', actionTimeout: 20_000, viewport: { width: 1280, height: 800 } },
  projects: [
    { name: 'support', testDir: 'e2e/support', testMatch: /\.test\.ts$/ },
    ...apps,
    ...(process.env.SYNCLINE_DESKTOP
      ? [{ name: 'desktop', testDir: 'e2e', testMatch: DESKTOP, use: chromium().use }]
      : []),
  ],
});
