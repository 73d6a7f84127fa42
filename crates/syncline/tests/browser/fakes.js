// Stands in for the network: tests play the server by hand.

const real = { WebSocket: globalThis.WebSocket, fetch: globalThis.fetch };

/** Puts everything back as the browser made it. */
export function restore() {
  Object.assign(globalThis, real);
}

class FakeSocket extends EventTarget {
  constructor(url) {
    super();
    Object.assign(this, { url, readyState: 0, bufferedAmount: 0, sent: [] });
    sockets.push(this);
  }
  send(data) {
    this.sent.push(data);
  }
  close() {
    this.closed = true;
    this.readyState = 3;
  }
}

let sockets = [];

/** From now on `new WebSocket` makes sockets that lead to the test. */
export function fakeSockets() {
  sockets = [];
  globalThis.WebSocket = FakeSocket;
}

/** The sockets that have been made and not been asked for yet. */
export function takeSockets() {
  return sockets.splice(0);
}

export function open(socket) {
  socket.readyState = 1;
  socket.dispatchEvent(new Event('open'));
}

export function sayText(socket, text) {
  socket.dispatchEvent(new MessageEvent('message', { data: text }));
}

export function sayBytes(socket, text) {
  socket.dispatchEvent(new MessageEvent('message', { data: new TextEncoder().encode(text).buffer }));
}

/** As a browser does it: an error event, then a close event. */
export function fail(socket, code, reason) {
  socket.readyState = 3;
  socket.dispatchEvent(new Event('error'));
  socket.dispatchEvent(new CloseEvent('close', { code, reason }));
}

/** The connection is gone, and the browser has not said so yet. */
export function cut(socket) {
  socket.readyState = 3;
}

export function sent(socket) {
  return socket.sent.splice(0);
}

export function isClosed(socket) {
  return socket.closed === true;
}

export function url(of) {
  return of.url;
}

let requests = [];

/** From now on `fetch` asks the test. */
export function fakeFetch() {
  requests = [];
  globalThis.fetch = (request) =>
    new Promise((resolve, reject) => {
      const asked = { url: request.url, request, resolve };
      request.signal.addEventListener('abort', () => {
        asked.aborted = true;
        asked.stream?.error(request.signal.reason);
        reject(request.signal.reason);
      });
      requests.push(asked);
    });
}

/** The requests that have been made and not been asked for yet. */
export function takeRequests() {
  return requests.splice(0);
}

export function header(asked, name) {
  return asked.request.headers.get(name) ?? undefined;
}

export function credentials(asked) {
  return asked.request.credentials;
}

export function body(asked) {
  return asked.request.text();
}

export function answer(asked, status, text) {
  asked.resolve(new Response(status === 204 ? null : text, { status }));
}

/** Answers with a stream that stays open. */
export function answerStream(asked) {
  const stream = new ReadableStream({ start: (controller) => (asked.stream = controller) });
  asked.resolve(new Response(stream, { headers: { 'content-type': 'text/event-stream' } }));
}

export function push(asked, text) {
  asked.stream.enqueue(new TextEncoder().encode(text));
}

export function end(asked) {
  asked.stream.close();
}

export function isAborted(asked) {
  return asked.aborted === true;
}

let tally;

/** From now on listeners of window and document, and timers, are counted. */
export function startCounting() {
  tally?.stop();
  const { setTimeout, clearTimeout } = globalThis;
  const { addEventListener, removeEventListener } = EventTarget.prototype;
  const listeners = new Set();
  const timers = new Set();
  const counts = (target) => target === window || target === document;
  EventTarget.prototype.addEventListener = function (name, callback, ...rest) {
    if (counts(this ?? window)) listeners.add(callback);
    return addEventListener.call(this ?? window, name, callback, ...rest);
  };
  EventTarget.prototype.removeEventListener = function (name, callback, ...rest) {
    listeners.delete(callback);
    return removeEventListener.call(this ?? window, name, callback, ...rest);
  };
  globalThis.setTimeout = (callback, ...rest) => {
    const timer = setTimeout(() => (timers.delete(timer), callback()), ...rest);
    timers.add(timer);
    return timer;
  };
  globalThis.clearTimeout = (timer) => {
    timers.delete(timer);
    clearTimeout(timer);
  };
  const stop = () => {
    Object.assign(globalThis, { setTimeout, clearTimeout });
    Object.assign(EventTarget.prototype, { addEventListener, removeEventListener });
    tally = undefined;
  };
  tally = { listeners, timers, stop };
}

export function listenerCount() {
  return tally.listeners.size;
}

export function timerCount() {
  return tally.timers.size;
}

export function stopCounting() {
  tally?.stop();
}

/** Puts something else in the place of a method, with `original` and `args` in reach. Gives what undoes it. */
export function patchMethod(type, name, body) {
  const prototype = globalThis[type].prototype;
  const original = prototype[name];
  const run = new Function('original', 'args', body);
  prototype[name] = function (...args) {
    return run.call(this, original, args);
  };
  return () => (prototype[name] = original);
}

/** Puts something else in the place of a property of the page. Gives what undoes it. */
export function patchGetter(name, body) {
  const before = Object.getOwnPropertyDescriptor(globalThis, name);
  Object.defineProperty(globalThis, name, { get: new Function(body), configurable: true });
  return () => {
    if (before) {
      Object.defineProperty(globalThis, name, before);
    } else {
      delete globalThis[name];
    }
  };
}
