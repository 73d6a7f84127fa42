import { defineConfig, type PlaywrightTestConfig } from '@playwright/test';

import { chromium, firefox } from './e2e/support/browsers.ts';
import type { Choices } from './e2e/support/fixtures.ts';

type Project = NonNullable<PlaywrightTestConfig<Choices>['projects']>[number];

// Every scenario runs over both transports; its variations that do not depend on how bytes travel run over a WebSocket.
const NOT_AGAIN_OVER_SSE = /@once/;
// Firefox cannot be told to be a touch screen.
const CHROMIUM_ONLY = /@touch/;
// These open pages of both frameworks themselves.
const BOTH_FRAMEWORKS = /(mixed|side)\.spec\.ts/;
// It needs a window: `cargo xtask desktop --test` runs it.
const DESKTOP = /desktop\.spec\.ts/;

const apps: Project[] = (['leptos', 'dioxus'] as const).flatMap((framework) =>
  [chromium(), firefox()].flatMap((browser) =>
    (['ws', 'sse'] as const).map((transport) => ({
      name: `${framework}-${browser.name}-${transport}`,
      testDir: 'e2e',
      testMatch: /\.spec\.ts$/,
      testIgnore: framework === 'leptos' ? [DESKTOP] : [DESKTOP, BOTH_FRAMEWORKS],
      grepInvert: [
        ...(transport === 'ws' ? [] : [NOT_AGAIN_OVER_SSE]),
        ...(browser.name === 'chromium' ? [] : [CHROMIUM_ONLY]),
      ],
      use: { ...browser.use, framework, transport },
    })),
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
