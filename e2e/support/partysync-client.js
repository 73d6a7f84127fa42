// A client of a partysync server in plain JavaScript, as an application that knows nothing of Syncline would have it: one
// WebSocket, one channel, rows as arrays. It knows the wire, and no server's defects or merits.

/* exported PartysyncClient */
class PartysyncClient {
  /** `url` is the address of a room: `/parties/<party>/<room>`. */
  constructor(url, channel, { backoff = [1_000, 30_000] } = {}) {
    this.url = new URL(url, location.href);
    this.url.protocol = this.url.protocol === 'https:' ? 'wss:' : 'ws:';
    this.channel = channel;
    this.backoff = backoff;
    this.status = 'idle';
    this.rows = new Map();
    this.calls = new Map();
    this.said = 0;
    this.heard = [];
    this.failures = 0;
    this.socket = null;
    this.closed = null;
  }

  /** Oldest first. */
  list() {
    return [...this.rows.values()].sort((a, b) => a.at(-3) - b.at(-3) || (a[0] < b[0] ? -1 : 1));
  }

  start() {
    this.status = 'connecting';
    this.#connect();
  }

  stop() {
    this.status = 'closed';
    clearTimeout(this.retry);
    this.socket?.close(1000);
    this.socket = null;
  }

  /** Breaks the line off, as a bad network does; nothing reconnects by itself then. */
  leave() {
    this.stop();
    this.status = 'idle';
  }

  /** Does an action; its rows, or the server's error. */
  send(type, payload = null) {
    const id = `r${++this.said}`;
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => this.#settle(id, () => reject(new Error('no answer'))), 10_000);
      this.calls.set(id, { resolve, reject, late });
      this.socket.send(JSON.stringify({ id, channel: this.channel, rpc: true, action: { type, payload } }));
    });
  }

  #connect() {
    const url = new URL(this.url);
    url.searchParams.set('_pk', crypto.randomUUID());
    const socket = new WebSocket(url);
    this.socket = socket;
    socket.onopen = () => {
      const newest = Math.max(...this.list().map((row) => row.at(-2)));
      const from = Number.isFinite(newest) ? newest : null;
      socket.send(JSON.stringify({ channel: this.channel, sync: true, from }));
    };
    socket.onmessage = (message) => this.#take(JSON.parse(message.data));
    socket.onclose = (close) => {
      if (this.socket !== socket) return;
      this.closed = close.code;
      this.socket = null;
      for (const id of [...this.calls.keys()]) this.#settle(id, ({ reject }) => reject(new Error('outcome unknown')));
      const [least, most] = this.backoff;
      this.status = 'reconnecting';
      this.retry = setTimeout(() => this.#connect(), Math.min(least * 2 ** this.failures++, most));
    };
  }

  #take(message) {
    this.heard.push(message.type ?? 'sync');
    if (message.type === 'exception') return;
    if (message.channel !== this.channel) return;
    if (message.sync && message.payload !== undefined) {
      this.#merge(message.payload);
      this.failures = 0;
      this.status = 'live';
    } else if (message.broadcast && message.type === 'update') {
      this.#merge(message.payload);
    } else if (message.broadcast && message.type === 'delete-all') {
      this.rows.clear();
    } else if (message.type === 'success') {
      this.#merge(message.result);
      this.#settle(message.id, ({ resolve }) => resolve(message.result));
    } else if (message.type === 'error') {
      this.#settle(message.id, ({ reject }) => reject(new Error(message.error.join(' '))));
    }
  }

  #merge(rows) {
    for (const row of rows) {
      if (row.at(-1) === null) this.rows.set(row[0], row);
      else this.rows.delete(row[0]);
    }
  }

  #settle(id, how) {
    const call = this.calls.get(id);
    if (call === undefined) return;
    clearTimeout(call.late);
    this.calls.delete(id);
    how(call);
  }
}
