import { test as base, expect, type Browser, type BrowserContext, type Page, type TestInfo } from '@playwright/test';

import { App, type Framework, type View } from './app.ts';
import { Proxy } from './proxy.ts';
import { RawClient } from './raw.ts';
import { Server } from './server.ts';

/** What a project is about. */
export interface Choices {
  framework: Framework;
  transport: 'ws' | 'sse';
  /** What the server is started with beside its data, its port and its pages. */
  serverOptions: string[];
}

export interface OpenOptions extends View {
  /** Another app than the project's own. */
  framework?: Framework;
  /** Another line than the test's first one. */
  line?: Proxy;
  /** What is done to the page before it loads. */
  prepare?: (page: Page) => Promise<void>;
  /** Another origin than the line's to load the page from. */
  origin?: string;
  /** Another tab of the same person; otherwise a new one comes. */
  as?: App;
}

interface Fixtures {
  server: Server;
  /** One more server, with its own data. */
  newServer: (options?: string[]) => Promise<Server>;
  /** The line between pages and the server, unless they are given another. */
  line: Proxy;
  /** One more line to the same server. */
  newLine: () => Promise<Proxy>;
  /** Opens an app and waits until it is live. */
  open: (options?: OpenOptions) => Promise<App>;
  /** Opens the page at `/`, with both apps. */
  openBoth: () => Promise<{ leptos: App; dioxus: App }>;
  /** A client that is none of ours. */
  raw: () => Promise<RawClient>;
  pages: Pages;
}

export const test = base.extend<Choices & Fixtures>({
  framework: ['leptos', { option: true }],
  transport: ['ws', { option: true }],
  serverOptions: [[], { option: true }],

  newServer: async ({}, use, info) => {
    const servers: Server[] = [];
    await use(async (options) => {
      const server = await Server.start(options);
      servers.push(server);
      return server;
    });
    for (const server of servers) {
      await attachWhenFailed(info, 'server.log', server.log);
      await server.dispose();
    }
  },

  server: async ({ newServer, serverOptions }, use) => use(await newServer(serverOptions)),

  newLine: async ({ server }, use) => {
    const lines: Proxy[] = [];
    await use(async () => {
      const line = await Proxy.start(server.port);
      lines.push(line);
      return line;
    });
    await Promise.all(lines.map((line) => line.close()));
  },

  line: async ({ newLine }, use) => use(await newLine()),

  pages: async ({ browser }, use, info) => {
    const pages = new Pages(browser);
    await use(pages);
    await attachWhenFailed(info, 'console.log', pages.log);
    await pages.close();
    expect(pages.crashes, 'no page has crashed').toEqual([]);
  },

  open: async ({ pages, line, framework, transport }, use) => {
    await use(async ({ framework: other, line: way = line, origin = way.url, prepare, as, ...view } = {}) => {
      const app = new App(await pages.open(as?.page.context()), other ?? framework);
      await prepare?.(app.page);
      await app.load(origin, { transport, ...view });
      await app.settled();
      if (view.view !== 'chat') await expect(app.get('todo-status')).toHaveAttribute('data-status', 'live');
      if (view.view !== 'todos') await expect(app.get('chat-status')).toHaveAttribute('data-status', 'live');
      return app;
    });
  },

  openBoth: async ({ pages, line }, use) => {
    await use(async () => {
      const page = await pages.open();
      await page.goto(`${line.url}/`);
      const inFrame = (framework: Framework) =>
        new App(page, framework, page.frameLocator(`iframe[src*="/${framework}"]`));
      return { leptos: inFrame('leptos'), dioxus: inFrame('dioxus') };
    });
  },

  raw: async ({ server }, use) => {
    const clients: RawClient[] = [];
    await use(async () => {
      const client = await RawClient.connect(server);
      clients.push(client);
      return client;
    });
    for (const client of clients) client.close();
  },
});

// Firefox reports among the errors of the page a WebSocket that was not closed by it, and an answer it may not read.
const REFUSED_BY_THE_NETWORK = /connection to .*ws:\/\/|Same Origin Policy disallows/;

/** The pages of one test, each in a context of its own unless it shares one, and what went wrong in them. */
class Pages {
  readonly log: string[] = [];
  readonly crashes: string[] = [];
  private count = 0;
  private readonly contexts = new Set<BrowserContext>();

  constructor(private readonly browser: Browser) {}

  async open(context?: BrowserContext): Promise<Page> {
    const home = context ?? (await this.browser.newContext());
    this.contexts.add(home);
    const page = await home.newPage();
    const name = `page ${++this.count}`;
    page.on('console', (message) => {
      const line = `${name}: ${message.type()}: ${message.text()}`;
      this.log.push(line);
      if (message.text().includes('panicked at')) this.crashes.push(line);
    });
    page.on('pageerror', (error) => {
      this.log.push(`${name}: uncaught: ${error.message}`);
      if (!REFUSED_BY_THE_NETWORK.test(error.message)) this.crashes.push(`${name}: ${error.message}`);
    });
    return page;
  }

  async close(): Promise<void> {
    await Promise.all([...this.contexts].map((context) => context.close()));
  }
}

async function attachWhenFailed(info: TestInfo, name: string, lines: string[]): Promise<void> {
  if (info.status !== info.expectedStatus) await info.attach(name, { body: lines.join('\n'), contentType: 'text/plain' });
}

export { expect };
