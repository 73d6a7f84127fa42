import { accessSync, constants } from 'node:fs';
import path from 'node:path';

import type { PlaywrightTestOptions, PlaywrightWorkerOptions } from '@playwright/test';

interface Browser {
  name: 'chromium' | 'firefox';
  use: Partial<PlaywrightTestOptions & PlaywrightWorkerOptions>;
}

// The sandbox and the GPU are not there in most containers.
const CHROMIUM_ARGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking'];

const CHROMIUM_NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
const CHROMIUM_PLACES = ['/snap/bin/chromium', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'];
const FIREFOX_NAMES = ['firefox-esr', 'firefox'];
const FIREFOX_PLACES = ['/snap/bin/firefox', '/Applications/Firefox.app/Contents/MacOS/firefox'];

/** An installed Chromium or Chrome, else the one that Playwright downloads. */
export function chromium(): Browser {
  const executablePath = find('SYNCLINE_CHROMIUM', CHROMIUM_NAMES, CHROMIUM_PLACES);
  return { name: 'chromium', use: { browserName: 'chromium', launchOptions: { executablePath, args: CHROMIUM_ARGS } } };
}

/** An installed Firefox, driven over WebDriver BiDi, else the patched one that Playwright downloads. */
export function firefox(): Browser {
  const executablePath = find('SYNCLINE_FIREFOX', FIREFOX_NAMES, FIREFOX_PLACES);
  if (executablePath === undefined) return { name: 'firefox', use: { browserName: 'firefox' } };
  return {
    name: 'firefox',
    use: { browserName: 'firefox', channel: 'moz-firefox', launchOptions: { executablePath } },
  };
}

/** The variable wins; set but empty it means Playwright's own browser. */
function find(variable: string, names: string[], places: string[]): string | undefined {
  const given = process.env[variable];
  if (given !== undefined) return given || undefined;
  const folders = (process.env.PATH ?? '').split(path.delimiter).filter((folder) => folder !== '');
  return [...folders.flatMap((folder) => names.map((name) => path.join(folder, name))), ...places].find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
