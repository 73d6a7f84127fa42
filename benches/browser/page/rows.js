// The rows of every measurement, of the type that benches/src/lib.rs has, and the frames of Syncline's protocol.

export function item(number, revision = 0) {
  return {
    id: `01J${String(number).padStart(23, '0')}`,
    text: `item ${number}, revision ${revision}`.padEnd(40),
    done: number % 3 === 0,
    created_at: 1_700_000_000_000 + 2 * number,
    updated_at: 1_700_000_000_000 + 2 * number + revision,
  };
}

export const newestFirst = (a, b) => b.created_at - a.created_at || (a.id < b.id ? -1 : 1);

// Where a row stands, or would stand, in a sorted array.
export function placeIn(order, row) {
  let [low, high] = [0, order.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (newestFirst(order[middle], row) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

const CHUNK_BYTES = 128 * 1024;

// Chunks of rows as JSON text, newest first.
export function chunks(count) {
  const chunks = [];
  let rows = [];
  let bytes = 0;
  for (let number = count - 1; number >= 0; number--) {
    const row = JSON.stringify(item(number));
    rows.push(row);
    bytes += row.length + 1;
    if (bytes > CHUNK_BYTES || number === 0) {
      chunks.push(rows);
      [rows, bytes] = [[], 0];
    }
  }
  return chunks;
}

export function snapshotFrames(chunks, count) {
  return chunks.map((rows, chunk) => {
    const cursor = { incarnation: '00000000000000aa', schema: 0, epoch: 0, version: 0 };
    const last = chunk === chunks.length - 1;
    return [JSON.stringify({ snapshot: { sub: 1, cursor, chunk, total: count, last } }), ...rows].join('\n');
  });
}

export function changesFrame(version, part, rows = [], acks = []) {
  const parts = [{ sub: 1, ...part }];
  const head = { changes: { space: 'bench', from: version - 1, to: version, parts, acks } };
  return [JSON.stringify(head), ...rows].join('\n');
}

const FIELDS = ['id', 'text', 'done', 'created_at', 'updated_at'];

// A value as MessagePack; of texts and numbers what these rows have.
function packed(value, out) {
  if (typeof value === 'boolean') {
    out.push(value ? 0xc3 : 0xc2);
  } else if (typeof value === 'number') {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
    out.push(0xcf, ...bytes);
  } else {
    const bytes = new TextEncoder().encode(value);
    if (bytes.length < 32) out.push(0xa0 | bytes.length, ...bytes);
    else out.push(0xd9, bytes.length, ...bytes);
  }
}

// The frames of a snapshot with packed rows; see docs/PROTOCOL.md.
export function packedFrames(chunks, count) {
  return chunks.map((rows, chunk) => {
    const cursor = { incarnation: '00000000000000aa', schema: 0, epoch: 0, version: 0 };
    const last = chunk === chunks.length - 1;
    const head = { sub: 1, cursor, chunk, total: count, last, fields: [FIELDS] };
    const out = [...new TextEncoder().encode(JSON.stringify({ snapshot: head })), 0x0a];
    for (const text of rows) {
      const row = JSON.parse(text);
      const values = [];
      for (const field of FIELDS) packed(row[field], values);
      let length = values.length * 2 + 1;
      while (length >= 0x80) {
        out.push((length & 0x7f) | 0x80);
        length >>= 7;
      }
      out.push(length, ...values);
    }
    return new Uint8Array(out);
  });
}
