import { expect, test } from 'vitest';
import { describeRequest } from '../proxy/api-request.ts';
import type { WatchStream } from '../proxy/fault.ts';
import { readFrame } from '../proxy/frames.ts';
import { StaleView } from './stale-view.ts';

const target = { group: '', version: 'v1', resource: 'pods' };
const list = '/api/v1/pods?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan';
/** Of any age. */
const oldList = `${list}&resourceVersion=0`;

const watchOf = (id: number, path = list): WatchStream => {
  const what = describeRequest('GET', path, {}, Buffer.alloc(0));
  const request = { id, atMs: 0, method: 'GET', path, headers: {}, body: Buffer.alloc(0), ...what };
  return { request, send: () => undefined, reset: () => undefined, expire: () => undefined };
};
const frame = (type: string, name: string, resourceVersion: string) =>
  readFrame(
    Buffer.from(`${JSON.stringify({ type, object: { metadata: { name, resourceVersion } } })}\n`),
    target,
    false,
  );

async function told(view: StaleView, watch: WatchStream): Promise<void> {
  view.request(watch.request);
  for (const one of [
    frame('ADDED', 'a', '1'),
    frame('ADDED', 'b', '2'),
    frame('MODIFIED', 'a', '3'),
    frame('DELETED', 'b', '4'),
  ])
    await view.frame(one, watch);
}

test('while it is frozen nothing is told, and all of it in order afterwards', async () => {
  const view = new StaleView();
  const watch = watchOf(1);
  view.request(watch.request);
  void view.freeze();
  let isTold = false;
  const held = view.frame(frame('ADDED', 'a', '1'), watch).then(() => {
    isTold = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(isTold).toBe(false);
  view.thaw();
  await held;
  expect(isTold).toBe(true);
});

test('a new list of any age is the one from when it froze, and goes on from there', async () => {
  const view = new StaleView();
  await told(view, watchOf(1));
  void view.freeze();
  const verdict = view.request(watchOf(2, oldList).request);
  expect(verdict).toMatchObject({ do: 'send', path: '/api/v1/pods?watch=true&resourceVersion=4' });
  const lines = verdict?.do === 'send' ? (verdict.lines ?? []).map((line) => JSON.parse(String(line))) : [];
  expect(
    lines.map(({ type, object }) => [type, object.metadata.name, object.metadata.resourceVersion]),
  ).toEqual([
    ['ADDED', 'a', '3'],
    ['BOOKMARK', undefined, '4'],
  ]);
});

test('lists go to the API server while nothing is frozen, and when nothing is known of what they list', async () => {
  const view = new StaleView();
  await told(view, watchOf(1));
  expect(view.request(watchOf(2).request)).toBeUndefined();
  void view.freeze();
  expect(view.request(watchOf(3, oldList.replace('pods', 'nodes')).request)).toBeUndefined();
});

test('a list without a version is what a quorum knows, and only what follows it is held', async () => {
  const view = new StaleView();
  await told(view, watchOf(1));
  void view.freeze();
  const watch = watchOf(2);
  expect(view.request(watch.request)).toBeUndefined();
  const line = Buffer.from('{"type":"ADDED","object":{"metadata":{"name":"d","resourceVersion":"9"}}}\n');
  await view.frame(readFrame(line, target, true), watch);
  let isTold = false;
  void view.frame(frame('ADDED', 'e', '10'), watch).then(() => (isTold = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect(isTold).toBe(false);
  const verdict = view.request(watchOf(3, oldList).request);
  const text = verdict?.do === 'send' ? (verdict.lines?.join('') ?? '') : '';
  expect([text.includes('"a"'), text.includes('"d"'), text.includes('"e"')]).toEqual([false, true, false]);
  view.thaw();
});

test('what a watch of a killed operator still holds does not count', async () => {
  const view = new StaleView();
  await told(view, watchOf(1));
  void view.freeze();
  const late = view.frame(frame('ADDED', 'c', '5'), watchOf(1));
  view.request(watchOf(2).request);
  view.thaw();
  await late;
  void view.freeze();
  const verdict = view.request(watchOf(3, oldList).request);
  expect(verdict?.do === 'send' && verdict.lines?.join('')).not.toContain('"c"');
});

test('what another fault keeps from the operator is known to the API server nevertheless', async () => {
  const view = new StaleView();
  const watch = watchOf(1);
  await told(view, watch);
  view.saw(frame('DELETED', 'a', '5'), watch);
  await view.frame(frame('ADDED', 'c', '6'), watch);
  void view.freeze();
  const verdict = view.request(watchOf(2, oldList).request);
  const text = verdict?.do === 'send' ? (verdict.lines?.join('') ?? '') : '';
  expect([text.includes('"a"'), text.includes('"c"')]).toEqual([false, true]);
});
