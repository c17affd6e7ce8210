import { expect, test } from 'vitest';
import { expired, LineSplitter, readFrame } from './frames.ts';

const pods = { group: '', version: 'v1', resource: 'pods' };
const lineOf = (event: unknown): Buffer => Buffer.from(`${JSON.stringify(event)}\n`);

test.each([1, 2, 7, 1_000])('chunks of %i bytes give the same lines', (size) => {
  const text = Buffer.from('{"a":"ä"}\n{"b":2}\n\n{"rest":');
  const splitter = new LineSplitter();
  const lines: string[] = [];
  for (let at = 0; at < text.length; at += size)
    lines.push(...splitter.push(text.subarray(at, at + size)).map(String));
  expect(lines).toEqual(['{"a":"ä"}\n', '{"b":2}\n', '\n']);
});

test('a line without an end is refused before it fills the memory', () => {
  const splitter = new LineSplitter();
  expect(() => splitter.push(Buffer.alloc((16 << 20) + 1, 'x'))).toThrow(/longer than/);
});

test('an object is named as a request names it', () => {
  const metadata = { name: 'p', namespace: 'a', uid: 'u', resourceVersion: '7' };
  expect(readFrame(lineOf({ type: 'ADDED', object: { metadata } }), pods, true)).toMatchObject({
    type: 'ADDED',
    key: 'pods/a/p',
    uid: 'u',
    resourceVersion: '7',
    initial: true,
    endsList: false,
  });
});

test('the bookmark that ends a streamed list is told from others', () => {
  const annotations = { 'k8s.io/initial-events-end': 'true' };
  const bookmark = (extra: object) =>
    readFrame(
      lineOf({ type: 'BOOKMARK', object: { metadata: { resourceVersion: '9', ...extra } } }),
      pods,
      true,
    );
  expect(bookmark({ annotations })).toMatchObject({ key: '', resourceVersion: '9', endsList: true });
  expect(bookmark({}).endsList).toBe(false);
});

test('errors and unreadable lines name no object', () => {
  expect(readFrame(expired, pods, false)).toMatchObject({ type: 'ERROR', key: '' });
  expect(readFrame(Buffer.from('{"type":"ADD'), pods, false)).toMatchObject({ type: '', key: '' });
});
