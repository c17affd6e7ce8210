import { addAbortSignal, Readable } from 'node:stream';
import type { KubeObject } from '@felucca/contract';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import type { KubeClient } from './client.ts';
import { ManualClock } from './manual-clock.ts';
import { Reflector } from './reflector.ts';
import { GVR } from './resources.ts';
import type { KubeRequest, KubeStream } from './transport.ts';

/** What the API server never does on request: answers written by the test. */
function follow(clock: ManualClock, answer: () => Pick<KubeStream, 'status' | 'body'>, silentMs = 150_000) {
  const opened: KubeStream[] = [];
  const asked: KubeRequest[] = [];
  const stream = async (request: KubeRequest): Promise<KubeStream> => {
    asked.push(request);
    const { status, body } = answer();
    addAbortSignal(request.signal!, body);
    const one = { status, headers: {}, body, close: () => void body.destroy() };
    opened.push(one);
    return one;
  };
  const reflector = new Reflector<KubeObject>({
    client: { transport: { stream } } as unknown as KubeClient,
    log: pino({ level: 'silent' }),
    clock,
    random: () => 1,
    gvr: GVR.ConfigMap,
    silentMs,
  });
  const stopping = new AbortController();
  void reflector.run(stopping.signal);
  onTestFinished(() => stopping.abort());
  return { reflector, opened, asked };
}
const forEver = (): Readable =>
  new Readable({
    read() {
      this.push(Buffer.alloc(16 << 10, 'x'));
    },
  });
const silent = (): Readable => new Readable({ read: () => undefined });
const LIST_END = {
  type: 'BOOKMARK',
  object: { metadata: { resourceVersion: '5', annotations: { 'k8s.io/initial-events-end': 'true' } } },
};

test.each([
  ['never ends', forEver, 0],
  ['never comes', silent, 10_000],
])('a refusal whose text %s is ended, and the watch is tried again', async (_, body, afterMs) => {
  const clock = new ManualClock();
  const { reflector, opened } = follow(clock, () => ({ status: 403, body: body() }));
  await clock.advance(afterMs);
  await expect.poll(() => reflector.coldBecause).toMatch(/HTTP 403/);
  expect(opened[0]!.body.destroyed).toBe(true);
  await clock.advance(1_000);
  expect(opened).toHaveLength(2);
});

test('a watch that opens and says nothing makes its cache stale, however often it opens', async () => {
  const clock = new ManualClock();
  let listed = false;
  const answer = () => {
    const body = silent();
    if (!listed) body.push(`${JSON.stringify(LIST_END)}\n`);
    listed = true;
    return { status: 200, body };
  };
  const { reflector, opened } = follow(clock, answer, 500);
  await reflector.store.synced;
  for (let opens = 1; opens <= 3; opens++) {
    await clock.advance(1_000);
    await expect.poll(() => opened[opens - 1]!.body.destroyed).toBe(true);
    await expect.poll(async () => clock.advance(10_000).then(() => opened.length)).toBeGreaterThan(opens);
  }
  expect(reflector.staleBecause(30_000)).toMatch(/^ConfigMap not heard of for \d+ s: its watch is silent/);
  expect(reflector.staleBecause(600_000)).toBeUndefined();
});

test('a long list that is expired at its end is repeated with growing pauses', async () => {
  const clock = new ManualClock();
  const LIST_MS = 20_000;
  const lines = [
    LIST_END,
    { type: 'ERROR', object: { code: 410, reason: 'Expired', message: 'too old resource version' } },
  ];
  const startsMs: number[] = [];
  follow(clock, () => {
    startsMs.push(clock.nowMs());
    const body = silent();
    clock.after(LIST_MS, () => body.push(lines.map((line) => `${JSON.stringify(line)}\n`).join('')));
    return { status: 200, body };
  });
  await clock.advance(100_000);
  const pausesMs = startsMs.slice(1).map((startMs, n) => startMs - startsMs[n]! - LIST_MS);
  expect(pausesMs.slice(0, 3)).toEqual([800, 1_600, 3_200]);
});

test('a list is asked for without a version: with any, the API server may answer from a cache of any age', async () => {
  const clock = new ManualClock();
  const { asked } = follow(clock, () => ({ status: 200, body: silent() }));
  await clock.advance(1);
  expect(asked[0]?.query).toMatchObject({ sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' });
  expect(asked[0]?.query?.resourceVersion).toBeUndefined();
});

test('a store says when its list was asked for, and not when it was complete', async () => {
  const clock = new ManualClock();
  await clock.advance(1_000);
  const { reflector } = follow(clock, () => {
    const body = silent();
    clock.after(2_000, () => body.push(`${JSON.stringify(LIST_END)}\n`));
    return { status: 200, body };
  });
  await clock.advance(1_000);
  expect(reflector.listedMs).toBe(Number.NEGATIVE_INFINITY);
  await clock.advance(1_000);
  await reflector.store.synced;
  expect(reflector.listedMs).toBe(1_000);
});

test.each([false, true])(
  'a new leader waits for a list of its own (in a pause after a refusal: %s)',
  async (isRefused) => {
    const clock = new ManualClock();
    const answers = [
      { status: 200, body: silent() },
      ...(isRefused ? [{ status: 500, body: Readable.from([]) }] : []),
      { status: 200, body: silent() },
    ];
    const turns = answers.length;
    const { reflector, opened, asked } = follow(clock, () => answers.shift()!);
    opened[0]!.body.push(`${JSON.stringify(LIST_END)}\n`);
    await reflector.store.synced;
    if (isRefused) {
      opened[0]!.body.push(null);
      await expect.poll(async () => clock.advance(100).then(() => opened.length)).toBe(2);
    }
    await clock.advance(1);
    const sinceMs = clock.nowMs();
    let isListed = false;
    void reflector.listedSince(sinceMs, new AbortController().signal).then(() => (isListed = true));
    await expect.poll(async () => clock.advance(20).then(() => opened.length)).toBe(turns);
    expect(asked.at(-1)?.query).toMatchObject({ sendInitialEvents: true });
    await clock.advance(100);
    expect(isListed).toBe(false);
    opened.at(-1)!.body.push(`${JSON.stringify(LIST_END)}\n`);
    await expect.poll(async () => clock.advance(20).then(() => isListed)).toBe(true);
    expect(reflector.listedMs).toBeGreaterThanOrEqual(sinceMs);
  },
);

test('a list that does not come is told with its reason', async () => {
  const clock = new ManualClock();
  const { reflector } = follow(clock, () => ({ status: 403, body: Readable.from([]) }));
  await clock.advance(10);
  let told = '';
  void reflector
    .listedSince(clock.nowMs(), new AbortController().signal)
    .catch((error) => (told = error.message));
  await expect
    .poll(async () => clock.advance(10_000).then(() => told))
    .toMatch(/ConfigMap not listed again: .*403/);
});

test('a store that is known to be wrong is what the next list says', async () => {
  const object = (name: string) => ({
    type: 'ADDED',
    object: { metadata: { namespace: 'ns', name, uid: name, resourceVersion: '3' } },
  });
  const lists = [
    [object('kept'), object('ghost'), LIST_END],
    [object('kept'), LIST_END],
  ];
  const clock = new ManualClock();
  const { reflector } = follow(clock, () => {
    const body = silent();
    for (const line of lists.shift() ?? []) body.push(`${JSON.stringify(line)}\n`);
    return { status: 200, body };
  });
  await reflector.store.synced;
  expect([...reflector.store.list()].map(({ metadata }) => metadata.name)).toEqual(['kept', 'ghost']);
  await clock.advance(1);
  void reflector.listedSince(clock.nowMs(), new AbortController().signal);
  await expect
    .poll(async () =>
      clock.advance(1_000).then(() => reflector.store.list().map(({ metadata }) => metadata.name)),
    )
    .toEqual(['kept']);
});

test('what a watch repeats of the past is not taken for the present', async () => {
  const body = silent();
  const tell = (event: unknown): void => void body.push(`${JSON.stringify(event)}\n`);
  const event = (type: string, name: string, resourceVersion: string) => ({
    type,
    object: { metadata: { namespace: 'ns', name, uid: name, resourceVersion } },
  });
  tell(LIST_END);
  const { reflector } = follow(new ManualClock(), () => ({ status: 200, body }));
  await reflector.store.synced;
  const versionOf = (name: string) => reflector.store.get(`ns/${name}`)?.metadata.resourceVersion;
  for (const next of [
    event('ADDED', 'kept', '6'),
    event('MODIFIED', 'kept', '8'),
    event('ADDED', 'gone', '9'),
  ])
    tell(next);
  tell(event('DELETED', 'gone', '10'));
  for (const old of [event('ADDED', 'kept', '6'), event('DELETED', 'kept', '7'), event('ADDED', 'gone', '9')])
    tell(old);
  tell(event('ADDED', 'last', '11'));
  await expect.poll(() => versionOf('last')).toBe('11');
  expect([versionOf('kept'), versionOf('gone')]).toEqual(['8', undefined]);
});

test('a list is read whole: etcd may have been restored, and its versions come a second time', async () => {
  const event = (data: string) => ({
    type: 'ADDED',
    object: { metadata: { namespace: 'ns', name: 'a', uid: 'a', resourceVersion: '3' }, data },
  });
  const contents = ['of before'];
  const clock = new ManualClock();
  const answer = () => {
    const body = silent();
    const first = event(contents.shift() ?? 'of after');
    for (const line of [first, LIST_END]) body.push(`${JSON.stringify(line)}\n`);
    return { status: 200, body };
  };
  const { reflector } = follow(clock, answer, 500);
  await reflector.store.synced;
  expect(reflector.store.get('ns/a')).toMatchObject({ data: 'of before' });
  await expect
    .poll(async () => clock.advance(1_000).then(() => reflector.store.get('ns/a')))
    .toMatchObject({ data: 'of after' });
});
