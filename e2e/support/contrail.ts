import http from 'node:http';
import net from 'node:net';
import type { Duplex } from 'node:stream';

import { WebSocketServer, type WebSocket } from 'ws';

/** Its sockets: a Durable Object replays what came since the handshake, the in-memory server sends its snapshot again. */
export type Shape = 'durable-object' | 'in-memory';

interface Message {
  did: string;
  rkey: string;
  text: string;
  /** ms */
  time: number;
}

type Send = (kind: string, data: object) => void;

interface Watcher {
  did: string;
  send: Send;
  /** Where a Durable Object has the body of what it tells live. */
  body: 'value' | 'record';
  end: (removed: boolean) => void;
}

const COLLECTION = 'app.event.message';
const PATH = '/xrpc/test.rt.message.watchRecords';
const MINT = '/xrpc/test.rt.message.watchTicket';
const MOST = 200;

/**
 * A contrail service with one space and one collection, with much of what such services get wrong: times in two units, live
 * events for everybody whatever the query says, pages of at most 200 by a cursor that is a time only, sockets without a
 * sign of life, and a Durable Object's bodies under another name.
 */
export class ContrailService {
  readonly space = 'ats://did:plc:alice/tools.atmo.event.space/e2e';
  readonly namespace = 'test.rt';
  /** The tickets that were shown, in order, those of sockets left out. */
  readonly tickets: string[] = [];
  /** How many requests showed no ticket, or one that is not good. */
  refused = 0;
  /** Every request's path and query, in order. */
  readonly requests: string[] = [];

  private readonly messages = new Map<string, Message>();
  private readonly members = new Set(['did:plc:alice', 'did:plc:bob']);
  private readonly watchers = new Set<Watcher>();
  private readonly log: { at: number; kind: string; data: (body: Watcher['body']) => object }[] = [];
  private readonly sockets = new WebSocketServer({ noServer: true });
  private readonly connections = new Set<net.Socket>();
  private clock = 1_795_165_400_000;
  private isDown = false;
  /** How many tickets were minted, and how many of those are not good any more. */
  private minted = 0;
  private expired = 0;

  private constructor(
    private readonly listener: http.Server,
    private readonly shape: Shape,
  ) {
    listener.on('connection', (connection) => {
      if (this.isDown) return void connection.destroy();
      this.connections.add(connection);
      connection.on('close', () => this.connections.delete(connection));
    });
    listener.on('request', (request, response) => this.answer(request, response));
    listener.on('upgrade', (request, socket, head) => this.upgrade(request, socket, head));
  }

  static async start(shape: Shape): Promise<ContrailService> {
    const listener = http.createServer();
    const service = new ContrailService(listener, shape);
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject);
      listener.listen(0, '127.0.0.1', resolve);
    });
    return service;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.listener.address() as net.AddressInfo).port}`;
  }

  /** Streams that are open. */
  get open(): number {
    return this.watchers.size;
  }

  put(rkey: string, text: string, did = 'did:plc:alice'): void {
    const message = { did, rkey, text, time: ++this.clock };
    this.messages.set(uri(message), message);
    this.tell('record.created', (body) => ({ record: live(message, this.space, body) }));
  }

  delete(rkey: string, did = 'did:plc:alice'): void {
    const gone = uri({ did, rkey });
    this.messages.delete(gone);
    this.clock++;
    this.tell('record.deleted', () => ({ uri: gone, did, rkey }));
  }

  /** The lines break; nobody is told why. */
  drop(): void {
    for (const connection of this.connections) connection.destroy();
  }

  /** The lines break, and no other one is taken. */
  stop(): void {
    this.isDown = true;
    this.drop();
  }

  start(): void {
    this.isDown = false;
  }

  remove(member: string): void {
    this.members.delete(member);
    for (const watcher of [...this.watchers].filter(({ did }) => did === member)) {
      watcher.send('member.removed', { space: this.space, did: member });
      watcher.end(true);
    }
  }

  async close(): Promise<void> {
    this.drop();
    this.sockets.close();
    await new Promise((resolve) => this.listener.close(resolve));
  }

  private tell(kind: string, data: (body: Watcher['body']) => object): void {
    this.log.push({ at: this.clock, kind, data });
    for (const watcher of this.watchers) watcher.send(kind, data(watcher.body));
  }

  private snapshot(query: URLSearchParams): { records: object[]; cursor?: string } {
    const limit = Math.min(Number(query.get('limit') ?? 50), MOST);
    const before = Number(query.get('cursor') ?? Infinity);
    const newest = [...this.messages.values()].sort((a, b) => b.time - a.time).filter(({ time }) => time < before);
    const page = newest.slice(0, limit);
    const records = page.map((message) => stored(message, this.space));
    const last = page.at(-1);
    return newest.length > limit && last ? { records, cursor: String(last.time) } : { records };
  }

  /** Where a member is given a ticket, another one each time. */
  mintAt(did: string): string {
    return `${this.url}${MINT}?did=${encodeURIComponent(did)}`;
  }

  /** No ticket that was minted so far is good any more; what is open goes on. */
  expireTickets(): void {
    this.expired = this.minted;
  }

  /** Who it is: what stands in the ticket. */
  private member(query: URLSearchParams): string | 401 | 403 {
    const [, did, number] = /^ticket-of-([^#]*)(?:#(\d+))?$/.exec(query.get('ticket') ?? '') ?? [];
    if (did === undefined || (number !== undefined && Number(number) <= this.expired)) return 401;
    return this.members.has(did) ? did : 403;
  }

  private answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    const url = new URL(request.url ?? '/', this.url);
    this.requests.push(url.pathname + url.search);
    // pages of other origins may ask
    response.setHeader('access-control-allow-origin', '*');
    if (url.pathname === MINT && request.method === 'POST') {
      const ticket = `ticket-of-${url.searchParams.get('did')}#${++this.minted}`;
      return void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ ticket }));
    }
    if (url.pathname !== PATH) return void response.writeHead(404).end('404 Not Found');
    this.tickets.push(url.searchParams.get('ticket') ?? '');
    const did = this.member(url.searchParams);
    if (did === 401) this.refused++;
    if (typeof did === 'number') {
      const body = did === 401 ? { error: 'AuthRequired' } : { error: 'Forbidden', reason: 'not-member' };
      return void response.writeHead(did, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    }
    if (url.searchParams.get('mode') === 'ws') {
      const ticket = encodeURIComponent(url.searchParams.get('ticket') ?? '');
      const path = `${url.pathname}?ticket=${ticket}&sinceTs=${this.clock}`;
      const answer = { transport: 'ws', snapshot: this.snapshot(url.searchParams), ticketTtlMs: 120_000, wsUrl: path };
      return void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    }
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache, no-transform' });
    const send: Send = (kind, data) => response.write(`event: ${kind}\ndata: ${JSON.stringify(data)}\n\n`);
    this.sendSnapshot(send, url.searchParams);
    const keepalive = setInterval(() => response.write(': keepalive\n\n'), 15_000);
    const watcher: Watcher = { did, send, body: 'value', end: () => response.end() };
    this.watchers.add(watcher);
    response.on('close', () => {
      clearInterval(keepalive);
      this.watchers.delete(watcher);
    });
  }

  private sendSnapshot(send: Send, query: URLSearchParams): void {
    const { records, cursor } = this.snapshot(query);
    send('snapshot.start', { spaceUri: this.space, collection: COLLECTION });
    for (const record of records) send('snapshot.record', { record });
    send('snapshot.end', cursor === undefined ? {} : { cursor });
  }

  private upgrade(request: http.IncomingMessage, line: Duplex, head: Buffer): void {
    const url = new URL(request.url ?? '/', this.url);
    const did = this.member(url.searchParams);
    if (typeof did === 'number') return void line.end(`HTTP/1.1 ${did} Refused\r\n\r\n`);
    this.sockets.handleUpgrade(request, line, head, (socket: WebSocket) => {
      const send: Send = (kind, data) => socket.send(JSON.stringify({ kind, data }));
      const end = (removed: boolean) => (removed ? socket.close(4003, 'membership-revoked') : socket.terminate());
      const body = this.shape === 'durable-object' ? 'record' : 'value';
      if (this.shape === 'in-memory') {
        this.sendSnapshot(send, url.searchParams);
      } else {
        const since = Number(url.searchParams.get('sinceTs'));
        for (const { kind, data } of this.log.filter(({ at }) => at > since)) send(kind, data(body));
      }
      const watcher: Watcher = { did, send, body, end };
      this.watchers.add(watcher);
      socket.on('close', () => this.watchers.delete(watcher));
    });
  }
}

const uri = ({ did, rkey }: { did: string; rkey: string }) => `at://${did}/${COLLECTION}/${rkey}`;

function envelope(message: Message, space: string) {
  const { did, rkey } = message;
  return { uri: uri(message), cid: null, did, rkey, collection: COLLECTION, space };
}

const value = ({ text }: Message) => ({ $type: COLLECTION, text });

function stored(message: Message, space: string): object {
  return { ...envelope(message, space), value: value(message), time_us: message.time };
}

function live(message: Message, space: string, body: Watcher['body']): object {
  const time = { time_us: message.time * 1_000, indexed_at: message.time };
  return { ...envelope(message, space), [body]: value(message), ...time };
}
