import type { Readable } from 'node:stream';

const NEWLINE = 0x0a;
/** etcd takes objects up to 1.5 MB; a watch event has one of them, converted at most. */
const MAX_LINE_BYTES = 16 << 20;

/** The lines of a stream as bytes; `readline` would decode and copy every one of them. */
export async function* watchLines(body: Readable): AsyncGenerator<Buffer> {
  let rest: Buffer[] = [];
  let restBytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const tail = chunk.subarray(start, end);
      yield rest.length === 0 ? tail : Buffer.concat([...rest, tail]);
      rest = [];
      restBytes = 0;
      start = end + 1;
    }
    if (start === chunk.length) continue;
    rest.push(chunk.subarray(start));
    restBytes += chunk.length - start;
    if (restBytes > MAX_LINE_BYTES) throw new Error(`a watch event is larger than ${MAX_LINE_BYTES} bytes`);
  }
}
