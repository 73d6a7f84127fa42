import { randomUUID } from 'node:crypto';

import { WebSocket } from 'ws';

import type { Server } from './server.ts';

const ANSWER_DEADLINE_MS = 20_000;

export interface Todo {
  id: string;
  text: string;
  done: boolean;
  position: string;
  created_at: number;
}

/** What a space holds, as its database tells someone who comes late. */
export interface Holding<Row> {
  version: number;
  rows: Row[];
}

interface Ack {
  client: string;
  id: number;
  error?: { code: string; message: string };
}

interface ServerFrame {
  welcome?: { user: { id: string; name?: string } };
  snapshot?: { sub: number; cursor: { version: number }; last?: boolean };
  changes?: { acks?: Ack[] };
  failed?: { sub: number; error: unknown };
  error?: unknown;
  ping?: number;
}

/** Speaks the wire protocol without any client of ours: it holds no cache, and believes nothing but frames. */
export class RawClient {
  private readonly client = randomUUID();
  private readonly inbox: { message: ServerFrame; rows: string[] }[] = [];
  private readonly writes = new Map<string, number>();
  private readonly acks = new Map<number, Ack>();
  private subscriptions = 0;
  private user = '';
  private wake = () => {};
  private closed = false;

  private constructor(private readonly socket: WebSocket) {
    socket.on('message', (data) => {
      const [first = '', ...rows] = String(data).split('\n');
      const message = JSON.parse(first) as ServerFrame;
      if (message.ping !== undefined) this.send({ pong: message.ping });
      this.inbox.push({ message, rows: rows.filter((row) => row !== '') });
      this.wake();
    });
    socket.on('close', () => {
      this.closed = true;
      this.wake();
    });
    socket.on('error', () => {});
  }

  static async connect(server: Server): Promise<RawClient> {
    const session = await fetch(`${server.url}/session`, { method: 'POST' });
    const { token } = (await session.json()) as { token: string };
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/sync/ws`, { origin: server.url });
    const raw = new RawClient(socket);
    await new Promise((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    raw.send({ hello: { protocol: 1, schema: 1, client: raw.client, encodings: ['json'], token } });
    raw.user = (await raw.answer(({ message }) => message.welcome)).user.id;
    return raw;
  }

  /** Puts rows in one write, and waits until it is acknowledged. */
  async put(space: string, collection: string, rows: object[]): Promise<void> {
    await this.write(
      space,
      rows.map((row) => ({ put: [collection, row] })),
    );
  }

  /** Deletes rows, likewise. */
  async delete(space: string, collection: string, keys: string[]): Promise<void> {
    await this.write(
      space,
      keys.map((key) => ({ delete: [collection, key] })),
    );
  }

  /** Does the actions of a channel, one after the other, and waits until each is acknowledged. */
  async act(space: string, channel: string, actions: object[]): Promise<void> {
    // the server lets so many wait, and not many more
    for (let from = 0; from < actions.length; from += 50) {
      const some = actions.slice(from, from + 50);
      const ids = some.map((action) => this.sendWrite(space, 'action', { channel, action }));
      for (const id of ids) await this.acknowledged(id);
    }
  }

  private async write(space: string, ops: object[]): Promise<void> {
    await this.acknowledged(this.sendWrite(space, 'rows', { ops }));
  }

  private sendWrite(space: string, kind: 'rows' | 'action', payload: object): number {
    const id = (this.writes.get(space) ?? 0) + 1;
    this.writes.set(space, id);
    this.send({ write: { space, client: this.client, id, kind, payload } });
    return id;
  }

  private async acknowledged(id: number): Promise<void> {
    // one frame may acknowledge many
    const acked = this.acks.get(id);
    if (acked !== undefined) return settle(acked);
    await this.answer(({ message }) => {
      for (const ack of message.changes?.acks ?? []) if (ack.client === this.client) this.acks.set(ack.id, ack);
      return this.acks.get(id);
    });
    return this.acknowledged(id);
  }

  /** Todos with these texts, in this order: an action each. */
  async putTodos(list: string, texts: string[]): Promise<void> {
    await this.createTodos(
      list,
      texts.map((text, index) => [text, positionAt(index)]),
    );
  }

  /** Todos by their texts, each at its position. */
  async putTodosAt(list: string, positions: Record<string, string>): Promise<void> {
    await this.createTodos(list, Object.entries(positions));
  }

  private async createTodos(list: string, todos: [text: string, position: string][]): Promise<void> {
    const actions = todos.map(([text, position]) => ({
      type: 'create',
      payload: { id: randomUUID(), text, position, created_at: Date.now() },
    }));
    await this.act(`list-${list}`, 'todos', actions);
  }

  /** Messages with these texts, said one after the other, or all of them at one time. */
  async putMessages(room: string, texts: string[], { allAt }: { allAt?: number } = {}): Promise<void> {
    const since = Date.now() - texts.length;
    const messages = texts.map((text, index) => ({
      id: randomUUID(),
      author: this.user,
      author_name: `Guest ${this.user.slice(0, 4)}`,
      text,
      sent_at: allAt ?? since + index,
    }));
    await this.put(`room-${room}`, 'messages', messages);
  }

  async read<Row>(space: string, collection: string): Promise<Holding<Row>> {
    const sub = ++this.subscriptions;
    this.send({ subscribe: { sub, query: { space, collection } } });
    const rows: Row[] = [];
    const version = await this.answer(({ message, rows: lines }) => {
      if (message.failed?.sub === sub) throw new Error(`${space} cannot be read: ${JSON.stringify(message.failed)}`);
      if (message.snapshot?.sub !== sub) return undefined;
      rows.push(...lines.map((line) => JSON.parse(line) as Row));
      return message.snapshot.last ? message.snapshot.cursor.version : undefined;
    });
    this.send({ unsubscribe: { sub } });
    return { version, rows };
  }

  readTodos(list: string): Promise<Holding<Todo>> {
    return this.read<Todo>(`list-${list}`, 'todos');
  }

  close(): void {
    this.socket.terminate();
  }

  private send(message: object): void {
    this.socket.send(JSON.stringify(message));
  }

  /** Takes frames in order until one of them is an answer. */
  private async answer<T>(pick: (frame: { message: ServerFrame; rows: string[] }) => T | undefined): Promise<T> {
    const late = Date.now() + ANSWER_DEADLINE_MS;
    for (;;) {
      for (let frame = this.inbox.shift(); frame !== undefined; frame = this.inbox.shift()) {
        if (frame.message.error !== undefined) throw new Error(`refused: ${JSON.stringify(frame.message.error)}`);
        const answer = pick(frame);
        if (answer !== undefined) return answer;
      }
      if (this.closed) throw new Error('the server closed the connection');
      if (Date.now() > late) throw new Error('the server does not answer');
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, late - Date.now());
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

function settle(ack: Ack): void {
  if (ack.error !== undefined) throw new Error(`refused: ${JSON.stringify(ack.error)}`);
}

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** The positions of a list of at most 3,844 rows, as the apps know them. */
function positionAt(index: number): string {
  return `b${DIGITS[Math.floor(index / 62)]}${DIGITS[index % 62]}`;
}
