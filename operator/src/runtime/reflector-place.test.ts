import { Readable } from 'node:stream';
import type { KubeObject } from '@felucca/contract';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import type { KubeClient } from './client.ts';
import { ManualClock } from './manual-clock.ts';
import { Reflector } from './reflector.ts';
import { GVR } from './resources.ts';
import type { KubeRequest, KubeStream } from './transport.ts';

const event = (type: string, name: string, resourceVersion: string) => ({
  type,
  object: { metadata: { namespace: 'default', name, uid: name, resourceVersion } },
});
const bookmark = (resourceVersion: string, annotations: Record<string, string> = {}) => ({
  type: 'BOOKMARK',
  object: { metadata: { resourceVersion, annotations } },
});
const listEnd = (resourceVersion: string) =>
  bookmark(resourceVersion, { 'k8s.io/initial-events-end': 'true' });
const GONE = { type: 'ERROR', object: { code: 410, reason: 'Expired', message: 'too old resource version' } };

/** Follows an API server whose watches say these lines and end, one after the other; the last one stays open. */
async function follow(...watches: object[][]) {
  const clock = new ManualClock();
  const from: unknown[] = [];
  const stream = async ({ query }: KubeRequest): Promise<KubeStream> => {
    const lines = watches[from.length] ?? [];
    from.push(query?.['resourceVersion'] ?? 'the beginning');
    const body = new Readable({ read: () => undefined });
    for (const line of lines) body.push(`${JSON.stringify(line)}\n`);
    if (from.length < watches.length) body.push(null);
    return { status: 200, headers: {}, body, close: () => void body.destroy() };
  };
  const reflector = new Reflector<KubeObject>({
    client: { transport: { stream } } as unknown as KubeClient,
    log: pino({ level: 'silent' }),
    clock,
    random: () => 1,
    gvr: GVR.ConfigMap,
  });
  const stopping = new AbortController();
  void reflector.run(stopping.signal);
  onTestFinished(() => stopping.abort());
  await expect.poll(async () => clock.advance(40_000).then(() => from.length)).toBe(watches.length);
  // What the last one says is taken in.
  await clock.advance(0);
  await expect.poll(() => reflector.store.ageMs()).toBeLessThan(80_000);
  return { from, names: () => reflector.store.list().map(({ metadata }) => metadata.name) };
}

test('a watch goes on from its last bookmark, and a bookmark is no object', async () => {
  const { from, names } = await follow([event('ADDED', 'a', '3'), listEnd('5'), bookmark('9')], []);
  expect(from).toEqual(['the beginning', '9']);
  expect(names()).toEqual(['a']);
});

test('a watch goes on from its last event', async () => {
  const { from } = await follow([listEnd('5'), event('ADDED', 'a', '7')], []);
  expect(from).toEqual(['the beginning', '7']);
});

test('a list that ends in the middle is begun again', async () => {
  const { from, names } = await follow(
    [event('ADDED', 'a', '3')],
    [event('ADDED', 'a', '3'), event('ADDED', 'b', '4'), listEnd('5')],
  );
  expect(from).toEqual(['the beginning', 'the beginning']);
  await expect.poll(names).toEqual(['a', 'b']);
});

test('after 410 everything is listed, and what the list does not have is gone', async () => {
  const { from, names } = await follow(
    [event('ADDED', 'a', '3'), event('ADDED', 'b', '4'), listEnd('5'), GONE],
    [event('ADDED', 'b', '4'), listEnd('20')],
  );
  expect(from).toEqual(['the beginning', 'the beginning']);
  await expect.poll(names).toEqual(['b']);
});
