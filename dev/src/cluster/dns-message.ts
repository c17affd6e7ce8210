/** The few bytes of RFC 1035 that answering an A question takes. */

export interface Question {
  readonly id: number;
  /** Lower case, no trailing dot. */
  readonly name: string;
  readonly type: number;
  /** The question section as it came, to be sent back. */
  readonly raw: Buffer;
  readonly recursionDesired: boolean;
}

export const typeA = 1;
export const responseCode = { ok: 0, serverFailure: 2, noSuchName: 3 } as const;

const headerBytes = 12;
const ttlSeconds = 1;
const maxAnswers = 30;

export function parseQuestion(message: Buffer): Question | undefined {
  if (message.length < headerBytes + 5 || message.readUInt16BE(4) !== 1) return undefined;
  const isResponse = (message[2]! & 0x80) !== 0;
  if (isResponse) return undefined;
  const labels: string[] = [];
  let at = headerBytes;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > 63) return undefined;
    at += 1;
    if (length === 0) break;
    labels.push(message.toString('latin1', at, at + length).toLowerCase());
    at += length;
  }
  if (message.length < at + 4) return undefined;
  return {
    id: message.readUInt16BE(0),
    name: labels.join('.'),
    type: message.readUInt16BE(at),
    raw: message.subarray(headerBytes, at + 4),
    recursionDesired: (message[2]! & 0x01) !== 0,
  };
}

export function answer(question: Question, code: number, addresses: readonly string[] = []): Buffer {
  const sent = addresses.slice(0, maxAnswers);
  const header = Buffer.alloc(headerBytes);
  header.writeUInt16BE(question.id, 0);
  // Response, authoritative, recursion available (some resolvers drop answers without it).
  header.writeUInt16BE(0x8480 | (question.recursionDesired ? 0x0100 : 0) | code, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(sent.length, 6);
  const records = sent.map((address) => {
    const record = Buffer.alloc(16);
    record.writeUInt16BE(0xc000 | headerBytes, 0); // the name: a pointer to the question
    record.writeUInt16BE(typeA, 2);
    record.writeUInt16BE(1, 4);
    record.writeUInt32BE(ttlSeconds, 6);
    record.writeUInt16BE(4, 10);
    address.split('.').forEach((part, index) => {
      record[12 + index] = Number(part);
    });
    return record;
  });
  return Buffer.concat([header, question.raw, ...records]);
}
