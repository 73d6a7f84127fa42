import net from 'node:net';

import { RequestReader, type Request } from './request-reader.ts';

/** `up` is from the page to the server, `down` from the server to the page. */
export type Direction = 'up' | 'down';

type State = 'passing' | 'cut' | 'half-open';

/**
 * A line between pages and a server that a test can disturb. The page loads its app from the
 * proxy's own port, so nothing it does goes past it.
 */
export class Proxy {
  /** Every request head seen, in order. */
  readonly requests: Request[] = [];
  /** Connections asked for so far, the refused ones too. */
  attempts = 0;
  /** Bytes that the server has sent so far. */
  received = 0;

  private state: State = 'passing';
  private readonly held = new Set<Direction>();
  private latency = 0;
  private refusal: 403 | 426 | null = null;
  private onlyPages = false;
  private readonly connections = new Set<Connection>();

  private constructor(
    private readonly listener: net.Server,
    private readonly target: number,
  ) {
    listener.on('connection', (client) => this.accept(client));
  }

  static async start(target: number): Promise<Proxy> {
    const listener = net.createServer({ allowHalfOpen: true, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject);
      listener.listen(0, '127.0.0.1', resolve);
    });
    return new Proxy(listener, target);
  }

  get port(): number {
    return (this.listener.address() as net.AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** TCP connections that pages hold open now. */
  get open(): number {
    return [...this.connections].filter((connection) => connection.isOpen).length;
  }

  /** Open connections that carry the sync protocol: WebSockets and streaming fetches. */
  get links(): number {
    return [...this.connections].filter((connection) => connection.isLink).length;
  }

  /** What was asked for so far to carry the sync protocol, the refused ones too. */
  get linksAsked(): ('ws' | 'sse')[] {
    return this.requests.filter(opensLink).map((request) => (request.upgrade ? 'ws' : 'sse'));
  }

  /** Ends `hold`, `cut`, `halfOpen` and `passPagesOnly`. Held bytes go out in order; connections of a half-open line are forgotten. */
  pass(): void {
    const before = this.state;
    this.state = 'passing';
    this.onlyPages = false;
    this.held.clear();
    for (const connection of this.connections) {
      if (before === 'half-open') connection.reset();
      else connection.flush();
    }
  }

  /** Keeps the bytes of a direction back until `pass`. */
  hold(direction: Direction | 'both'): void {
    if (direction !== 'down') this.held.add('up');
    if (direction !== 'up') this.held.add('down');
  }

  /** Resets every connection, with what it held, and every new one until `pass`. */
  cut(): void {
    this.state = 'cut';
    for (const connection of this.connections) connection.reset();
  }

  /** Keeps connections open and swallows their bytes; new ones are accepted and never answered. Until `pass`. */
  halfOpen(): void {
    this.state = 'half-open';
  }

  /** As when the server is down and the browser has the page itself in its cache: resets what carries data. Until `pass`. */
  passPagesOnly(): void {
    this.onlyPages = true;
    for (const connection of this.connections) if (connection.carriesData) connection.reset();
  }

  /** Latency in milliseconds, each way. */
  delay(ms: number): void {
    this.latency = ms;
  }

  /** Answers WebSocket upgrades with this status while other requests pass; `null` lets them through again. */
  refuseUpgrade(status: 403 | 426 | null): void {
    this.refusal = status;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.listener.close(() => resolve()));
  }

  private accept(client: net.Socket): void {
    this.attempts++;
    if (this.state === 'cut') {
      client.on('error', () => {});
      client.resetAndDestroy();
      return;
    }
    const connection = new Connection(client, this.target, {
      swallows: () => this.state === 'half-open',
      holds: (direction) => this.held.has(direction),
      latency: () => this.latency,
      refusal: () => this.refusal,
      lets: (request) => !this.onlyPages || !carriesData(request),
      seen: (request) => this.requests.push(request),
      received: (bytes) => {
        this.received += bytes;
      },
      closed: () => this.connections.delete(connection),
    });
    this.connections.add(connection);
    connection.start();
  }
}

// An unoptimised Dioxus app also looks for its development server, on a WebSocket at another path.
function opensLink(request: Request): boolean {
  return request.path === '/sync/ws' || request.path === '/sync/stream';
}

function carriesData(request: Request): boolean {
  return request.path.startsWith('/sync') || request.path.startsWith('/session');
}

/** What a connection asks of, and tells, the line it belongs to. */
interface Line {
  swallows(): boolean;
  holds(direction: Direction): boolean;
  latency(): number;
  refusal(): 403 | 426 | null;
  lets(request: Request): boolean;
  seen(request: Request): void;
  received(bytes: number): void;
  closed(): void;
}

class Connection {
  private readonly server: net.Socket | null;
  private readonly up: Flow;
  private readonly down: Flow;
  private readonly reader = new RequestReader();
  private last: Request | null = null;

  constructor(
    private readonly client: net.Socket,
    target: number,
    private readonly line: Line,
  ) {
    // A half-open line lets a connection be made and takes it nowhere.
    this.server = line.swallows()
      ? null
      : net.connect({ port: target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    this.up = new Flow('up', line, this.server);
    this.down = new Flow('down', line, client);
  }

  // Browsers never close one direction alone: the end of what a page says is its end.
  get isOpen(): boolean {
    return !this.client.destroyed && !this.client.readableEnded;
  }

  get carriesData(): boolean {
    return this.isOpen && this.last !== null && carriesData(this.last);
  }

  get isLink(): boolean {
    return this.isOpen && this.last !== null && opensLink(this.last);
  }

  start(): void {
    const { client, server } = this;
    client.on('data', (bytes) => this.fromClient(bytes));
    client.on('end', () => this.up.push('end'));
    client.on('error', () => this.up.push('reset'));
    client.on('close', () => {
      this.up.push('reset');
      this.settle();
    });
    server?.on('data', (bytes) => {
      this.line.received(bytes.length);
      this.down.push(bytes);
    });
    server?.on('end', () => this.down.push('end'));
    server?.on('error', () => this.down.push('reset'));
    server?.on('close', () => this.settle());
  }

  // On a half-open line the server's side outlives the page's.
  private settle(): void {
    if (this.client.destroyed && (this.server?.destroyed ?? true)) this.line.closed();
  }

  flush(): void {
    this.up.flush();
    this.down.flush();
  }

  reset(): void {
    this.up.drop();
    this.down.drop();
    this.server?.destroy();
    this.client.resetAndDestroy();
  }

  private fromClient(bytes: Buffer): void {
    for (const part of this.reader.read(bytes)) {
      if (part.request !== null) {
        this.last = part.request;
        this.line.seen(part.request);
        if (!this.line.lets(part.request)) {
          this.reset();
          return;
        }
        const refusal = part.request.upgrade ? this.line.refusal() : null;
        if (refusal !== null) {
          this.server?.destroy();
          this.client.end(`HTTP/1.1 ${refusal} Refused\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
          return;
        }
      }
      this.up.push(part.bytes);
    }
  }
}

/** One direction of one connection: an ordered queue in front of a socket. */
class Flow {
  private readonly queue: { item: Buffer | 'end' | 'reset'; due: number }[] = [];
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly direction: Direction,
    private readonly line: Line,
    private readonly sink: net.Socket | null,
  ) {}

  push(item: Buffer | 'end' | 'reset'): void {
    if (this.line.swallows()) return;
    this.queue.push({ item, due: performance.now() + this.line.latency() });
    this.flush();
  }

  flush(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    for (let next = this.queue[0]; next !== undefined; next = this.queue[0]) {
      if (this.line.holds(this.direction)) return;
      const wait = next.due - performance.now();
      if (wait > 0) {
        this.timer = setTimeout(() => this.flush(), wait);
        return;
      }
      this.queue.shift();
      this.deliver(next.item);
    }
  }

  drop(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.queue.length = 0;
  }

  private deliver(item: Buffer | 'end' | 'reset'): void {
    if (this.sink === null || this.sink.destroyed) return;
    if (item === 'reset') this.sink.destroy();
    else if (!this.sink.writable) return;
    else if (item === 'end') this.sink.end();
    else this.sink.write(item);
  }
}
