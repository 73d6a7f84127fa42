import { expect, type Locator, type Page } from '@playwright/test';

export type Framework = 'leptos' | 'dioxus';

/** The query parameters of both demo apps. */
export interface View {
  list?: string;
  room?: string;
  transport?: 'auto' | 'ws' | 'sse';
  view?: 'todos' | 'chat' | 'both';
  /** Where Syncline is mounted, if not beside the page. */
  server?: string;
}

export interface TodoRow {
  key: string;
  text: string;
  state: string;
  done: boolean;
}

export interface MessageRow {
  key: string;
  text: string;
  author: string;
  state: string;
  mine: boolean;
}

/** Recovering from a lost line takes some rounds of backoff; noticing a silent one takes a heartbeat and its deadline. */
export const RECONNECT_MS = 45_000;

/** One of the demo apps on a page or in a frame, seen through its test ids: the same for both frameworks. */
export class App {
  readonly root: Locator;
  readonly badge: Locator;
  readonly todos: Locator;
  readonly todoInput: Locator;
  readonly messages: Locator;
  readonly chatList: Locator;
  readonly chatInput: Locator;
  readonly roomTitle: Locator;
  readonly nameInput: Locator;
  readonly myName: Locator;
  readonly offlineSwitch: Locator;
  readonly retryNow: Locator;
  readonly refusals: Locator;

  constructor(
    readonly page: Page,
    readonly framework: Framework,
    private readonly within: Pick<Page, 'getByTestId'> = page,
  ) {
    this.root = this.get('app');
    this.badge = this.get('connection-badge');
    this.todos = this.get('todo-item');
    this.todoInput = this.get('todo-input');
    this.messages = this.get('chat-message');
    this.chatList = this.get('chat-list');
    this.chatInput = this.get('chat-input');
    this.roomTitle = this.get('room-title');
    this.nameInput = this.get('name-input');
    this.myName = this.get('my-name');
    this.offlineSwitch = this.get('offline-switch');
    this.retryNow = this.get('retry-now');
    this.refusals = this.get('refusal');
  }

  get(id: string): Locator {
    return this.within.getByTestId(id);
  }

  /** Loads the app from `base` without waiting for its data. */
  async load(base: string, view: View): Promise<void> {
    const parameters = new URLSearchParams(Object.entries(view));
    await this.page.goto(`${base}/${this.framework}/?${parameters}`);
    await expect(this.root).toHaveAttribute('data-framework', this.framework);
  }

  // the connection

  async expectStatus(status: string, timeout?: number): Promise<void> {
    await expect(this.badge).toHaveAttribute('data-status', status, { timeout });
  }

  /** Live, with nothing left to send. */
  async settled(timeout: number = RECONNECT_MS): Promise<void> {
    await this.expectStatus('live', timeout);
    await this.expectPending(0, timeout);
  }

  /** Waits until some list that the browser keeps has this in it. */
  async kept(text: string): Promise<void> {
    const has = () =>
      this.page.evaluate(
        (text) =>
          new Promise<boolean>((resolve) => {
            const opening = indexedDB.open('syncline');
            opening.onerror = () => resolve(false);
            opening.onsuccess = () => {
              const database = opening.result;
              const all = database.transaction('lists').objectStore('lists').getAll();
              all.onsuccess = () => {
                database.close();
                resolve(all.result.some((bytes) => new TextDecoder().decode(bytes).includes(text)));
              };
            };
          }),
        text,
      );
    await expect.poll(has).toBe(true);
  }

  async expectPending(count: number, timeout?: number): Promise<void> {
    await expect(this.badge).toHaveAttribute('data-pending', String(count), { timeout });
  }

  /** What is pending outlives the page, all of it. */
  async saved(): Promise<void> {
    await expect(this.badge).toHaveAttribute('data-unsaved', '0');
  }

  // todos

  /** The row whose text is exactly this. */
  todo(text: string): Locator {
    return this.todos.filter({ has: this.exactly('todo-text', text) });
  }

  async addTodo(text: string): Promise<void> {
    await this.todoInput.fill(text);
    await this.todoInput.press('Enter');
  }

  async editTodo(text: string, to: string): Promise<void> {
    const item = await this.pin(this.todo(text));
    const input = await this.beginEdit(item);
    await input.fill(to);
    await input.press('Enter');
    await expect(item.getByTestId('todo-text')).toHaveText(to);
  }

  /** Clicks the text of a row; gives the input that takes its place. */
  async beginEdit(item: Locator): Promise<Locator> {
    await item.getByTestId('todo-text').click();
    return item.getByTestId('todo-edit');
  }

  async toggleTodo(text: string): Promise<void> {
    await this.todo(text).getByTestId('todo-toggle').click();
  }

  async deleteTodo(text: string): Promise<void> {
    const item = this.todo(text);
    // it may stand hidden until the row is pointed at
    await item.hover();
    await item.getByTestId('todo-delete').click();
  }

  async moveTodo(text: string, way: 'up' | 'down'): Promise<void> {
    const item = this.todo(text);
    await item.hover();
    await item.getByTestId(`todo-${way}`).click();
  }

  async clearCompleted(): Promise<void> {
    await this.get('todo-clear').click();
  }

  async filterTodos(filter: 'all' | 'active' | 'done'): Promise<void> {
    await this.get(`filter-${filter}`).click();
  }

  async todoRows(): Promise<TodoRow[]> {
    return this.todos.evaluateAll((items) =>
      items.map((item) => ({
        key: item.getAttribute('data-key') ?? '',
        text: item.querySelector('[data-testid=todo-text]')?.textContent?.trim() ?? '',
        state: item.getAttribute('data-state') ?? '',
        done: item.getAttribute('data-done') === 'true',
      })),
    );
  }

  async todoTexts(): Promise<string[]> {
    return (await this.todoRows()).map((row) => row.text);
  }

  /** All rows with one state: none of them pending or failed. */
  async expectTodos(texts: string[], timeout?: number): Promise<void> {
    const wanted = texts.map((text) => ({ text, state: 'confirmed' })).sort(byText);
    await expect
      .poll(async () => (await this.todoRows()).map(({ text, state }) => ({ text, state })).sort(byText), { timeout })
      .toEqual(wanted);
  }

  /** Types and adds every text through the app's own input, without waiting for anything in between. */
  async addTodosQuickly(texts: string[]): Promise<void> {
    await this.todoInput.evaluate(async (element, texts) => {
      const input = element as HTMLInputElement;
      const add = document.querySelector<HTMLElement>('[data-testid=todo-add]');
      const type = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')?.set;
      for (const text of texts) {
        type?.call(input, text);
        input.dispatchEvent(new InputEvent('input', { bubbles: true }));
        add?.click();
        // a turn of the event loop, as between two key presses; unlike a timer it is not slowed down in a hidden tab
        await new Promise((resolve) => {
          const { port1, port2 } = new MessageChannel();
          port1.onmessage = resolve;
          port2.postMessage(null);
        });
      }
    }, texts);
  }

  // chat

  message(text: string): Locator {
    return this.messages.filter({ has: this.exactly('chat-text', text) });
  }

  async say(text: string): Promise<void> {
    await this.chatInput.fill(text);
    await this.get('chat-send').click();
  }

  async enterRoom(room: string): Promise<void> {
    await this.roomTab(room).click();
  }

  roomTab(room: string): Locator {
    return this.get('room-tab').and(this.page.locator(`[data-room="${room}"]`));
  }

  async chooseName(name: string): Promise<void> {
    await this.nameInput.fill(name);
    await this.get('name-save').click();
    await expect(this.myName).toHaveText(name);
  }

  async messageRows(): Promise<MessageRow[]> {
    return this.messages.evaluateAll((items) =>
      items.map((item) => ({
        key: item.getAttribute('data-key') ?? '',
        text: item.querySelector('[data-testid=chat-text]')?.textContent?.trim() ?? '',
        author: item.querySelector('[data-testid=chat-author]')?.textContent?.trim() ?? '',
        state: item.getAttribute('data-state') ?? '',
        mine: item.getAttribute('data-mine') === 'true',
      })),
    );
  }

  async messageTexts(): Promise<string[]> {
    return (await this.messageRows()).map((row) => row.text);
  }

  private exactly(id: string, text: string): Locator {
    return this.page.getByTestId(id).and(this.page.getByText(text, { exact: true }));
  }

  /** The same row by its key, whatever its text becomes. */
  private async pin(row: Locator): Promise<Locator> {
    const key = await row.getAttribute('data-key');
    return this.todos.and(this.page.locator(`[data-key="${key}"]`));
  }
}

function byText(a: { text: string }, b: { text: string }): number {
  return a.text < b.text ? -1 : a.text > b.text ? 1 : 0;
}
