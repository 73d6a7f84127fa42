export interface Request {
  method: string;
  path: string;
  /** Asks to become a WebSocket. */
  upgrade: boolean;
}

export interface Part {
  bytes: Buffer;
  /** Set on the part that is a complete request head. */
  request: Request | null;
}

const HEAD_END = Buffer.from('\r\n\r\n');

/** Splits what a browser sends on one HTTP/1.1 connection into request heads and the rest. */
export class RequestReader {
  private head: Buffer = Buffer.alloc(0);
  private body = 0;

  read(bytes: Buffer): Part[] {
    const parts: Part[] = [];
    let rest = bytes;
    while (rest.length > 0) {
      if (this.body > 0) {
        const taken = rest.subarray(0, this.body);
        this.body -= taken.length;
        rest = rest.subarray(taken.length);
        parts.push({ bytes: taken, request: null });
        continue;
      }
      this.head = Buffer.concat([this.head, rest]);
      const end = this.head.indexOf(HEAD_END);
      if (end < 0) break;
      const head = this.head.subarray(0, end + HEAD_END.length);
      rest = this.head.subarray(head.length);
      this.head = Buffer.alloc(0);
      const { request, body } = parse(head.toString('latin1'));
      this.body = body;
      parts.push({ bytes: head, request });
    }
    return parts;
  }
}

function parse(head: string): { request: Request; body: number } {
  const [first = '', ...lines] = head.split('\r\n');
  const [method = '', target = ''] = first.split(' ');
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  const upgrade = headers.get('upgrade')?.toLowerCase() === 'websocket';
  // What follows an upgrade, or comes in chunks, is not read any further.
  const opaque = upgrade || headers.has('transfer-encoding');
  return {
    request: { method, path: target.split('?')[0] ?? target, upgrade },
    body: opaque ? Infinity : Number(headers.get('content-length') ?? 0),
  };
}
