// A client of contrail's `watchRecords` in plain JavaScript, as an application that knows nothing of Syncline would have
// it: an EventSource, or the handshake and its WebSocket. It knows the wire, and no server's defects or merits.

/* exported ContrailClient */
class ContrailClient {
  /**
   * `url` is the watch route with its query. `ticket` is asked for every attempt, and throws `{ terminal: true }` when
   * there is no use in trying again; without it the cookies of the page have to do.
   */
  constructor(url, { transport = 'sse', ticket = null, backoff = [1_000, 30_000] } = {}) {
    this.url = new URL(url, location.href);
    this.transport = transport;
    this.ticket = ticket;
    this.backoff = backoff;
    this.status = 'idle';
    this.records = new Map();
    this.attempts = 0;
    this.snapshots = 0;
    this.events = [];
    this.failures = 0;
    this.seen = null;
    this.cursor = null;
    this.why = null;
    this.line = null;
  }

  /** Newest first, as contrail's store has it. */
  list() {
    return [...this.records.values()].sort((a, b) => b.time_us - a.time_us || (a.rkey < b.rkey ? 1 : -1));
  }

  start() {
    this.status = 'connecting';
    void this.#connect();
  }

  stop(status = 'closed') {
    this.status = status;
    clearTimeout(this.retry);
    this.line?.close();
    this.line = null;
  }

  async #connect() {
    this.attempts += 1;
    try {
      const url = new URL(this.url);
      if (this.ticket !== null) url.searchParams.set('ticket', await this.ticket());
      if (this.transport === 'sse') this.#stream(url);
      else await this.#socket(url);
    } catch (error) {
      if (error.terminal) this.#end(String(error.message));
      else this.#again();
    }
  }

  #stream(url) {
    const stream = new EventSource(url);
    this.#use(stream);
    const kinds = ['snapshot.start', 'snapshot.record', 'snapshot.end', 'record.created', 'record.deleted'];
    kinds.push('hydration.added', 'hydration.removed', 'member.removed');
    for (const kind of kinds) {
      stream.addEventListener(kind, (event) => this.#take(stream, kind, JSON.parse(event.data)));
    }
    // the server's word, and the browser's that the line is gone; its own retry would come with the same old ticket
    stream.addEventListener('error', () => this.#lost(stream));
  }

  async #socket(url) {
    url.searchParams.set('mode', 'ws');
    const answer = await fetch(url, { credentials: this.ticket === null ? 'same-origin' : 'omit' });
    if (answer.status === 403) throw Object.assign(new Error('forbidden'), { terminal: true });
    if (!answer.ok) throw new Error(`the handshake was answered ${answer.status}`);
    const { transport, wsUrl } = await answer.json();
    if (transport !== 'ws') throw new Error(`another transport: ${transport}`);
    const address = new URL(wsUrl, url.origin);
    address.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(address);
    this.#use(socket);
    socket.onmessage = (message) => {
      const { kind, data } = JSON.parse(message.data);
      this.#take(socket, kind, data);
    };
    socket.onclose = (close) => {
      if (close.code === 4003 && this.line === socket) this.#end(close.reason);
      else this.#lost(socket);
    };
  }

  #use(line) {
    if (this.status === 'closed') line.close();
    else this.line = line;
  }

  #lost(line) {
    if (this.line !== line) return;
    line.close();
    this.line = null;
    this.#again();
  }

  #again() {
    if (this.status === 'closed' || this.status === 'removed') return;
    this.status = 'reconnecting';
    const [least, most] = this.backoff;
    this.retry = setTimeout(() => void this.#connect(), Math.min(least * 2 ** this.failures++, most));
  }

  #end(why) {
    this.why = why;
    this.stop('removed');
  }

  #take(line, kind, data) {
    if (this.line !== line) return;
    this.events.push(kind);
    switch (kind) {
      case 'snapshot.start':
        this.failures = 0;
        this.seen = new Set();
        this.status = 'snapshot';
        break;
      case 'snapshot.record':
      case 'record.created': {
        const { record } = data;
        this.records.set(record.uri, { ...this.records.get(record.uri), ...record });
        this.seen?.add(record.uri);
        break;
      }
      case 'snapshot.end':
        // what was not sent again is gone
        for (const uri of this.records.keys()) if (!this.seen.has(uri)) this.records.delete(uri);
        this.seen = null;
        this.snapshots += 1;
        this.cursor = data.cursor ?? null;
        this.status = 'live';
        break;
      case 'record.deleted':
        this.records.delete(data.uri);
        break;
      case 'hydration.added':
      case 'hydration.removed':
        this.#hydrate(kind === 'hydration.added', data);
        break;
      case 'member.removed':
        this.#end('member.removed');
        break;
    }
  }

  #hydrate(isAdded, { parentUri, relation, child, childRkey, childDid }) {
    const parent = this.records.get(parentUri);
    if (parent === undefined) return;
    const others = (parent[relation] ?? []).filter((known) =>
      isAdded ? known.uri !== child.uri : known.rkey !== childRkey || known.did !== childDid,
    );
    this.records.set(parentUri, { ...parent, [relation]: isAdded ? [...others, child] : others });
  }
}
