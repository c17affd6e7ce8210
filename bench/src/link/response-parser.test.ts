import { expect, test } from 'vitest';
import { ResponseParser } from '../../agents/response-parser.ts';

const ANSWERS =
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Odd:a:b\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n' +
  'HTTP/1.1 202 Accepted\r\ncontent-length: 4\r\n\r\nbody' +
  'HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n';

/** What is told of these bytes when they arrive in such parts, with neighbouring parts of a body joined. */
function told(parts: Buffer[]): string[] {
  const events: string[] = [];
  const parser = new ResponseParser({
    head: (status, headers) => void events.push(`${status} ${JSON.stringify([...headers])}`),
    body: (part) => {
      if (events.at(-1)?.startsWith('body ')) events.push(`${events.pop()}${part}`);
      else events.push(`body ${part}`);
    },
    end: () => void events.push('end'),
  });
  for (const part of parts) parser.push(part);
  return events;
}

test('answers are the same wherever the network cuts them', () => {
  const bytes = Buffer.from(ANSWERS);
  const whole = told([bytes]);
  expect(whole).toEqual([
    '200 [["transfer-encoding","chunked"],["x-odd","a:b"]]',
    'body hello world',
    'end',
    '202 [["content-length","4"]]',
    'body body',
    'end',
    '503 [["retry-after","7"],["content-length","0"]]',
    'end',
  ]);
  for (let cut = 1; cut < bytes.length; cut += 1)
    expect(told([bytes.subarray(0, cut), bytes.subarray(cut)])).toEqual(whole);
  expect(told([...bytes].map((byte) => Buffer.from([byte])))).toEqual(whole);
});

test('what is no answer is not taken for one', () => {
  expect(() => told([Buffer.from('SSH-2.0-OpenSSH\r\n\r\n')])).toThrow('this is no answer');
  expect(() => told([Buffer.alloc(20_000, 'x')])).toThrow('headers are longer');
  const chunked = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n';
  expect(() => told([Buffer.from(chunked)])).toThrow('a chunk has no size');
});
