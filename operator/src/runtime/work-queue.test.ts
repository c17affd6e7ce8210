import fc from 'fast-check';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { ManualClock } from './manual-clock.ts';
import { RuntimeMetrics } from './metrics.ts';
import { PRIORITIES, WorkQueue } from './work-queue.ts';

function setUp() {
  const clock = new ManualClock();
  const registry = new Registry();
  const queue = new WorkQueue({ name: 'test', clock, metrics: new RuntimeMetrics(registry) });
  /** Takes everything that is ready and leaves it in flight. */
  const takeAll = async (): Promise<string[]> => {
    const keys: string[] = [];
    while (queue.depth > 0) keys.push((await queue.take())!.key);
    return keys;
  };
  return { clock, registry, queue, takeAll };
}

test('a key that is added ten times waits once', async () => {
  const { queue, takeAll } = setUp();
  for (let n = 0; n < 10; n++) queue.add('a');
  expect(await takeAll()).toEqual(['a']);
});

test('a key that is added while worked on comes again afterwards, once, and not before', async () => {
  const { queue, takeAll } = setUp();
  queue.add('a');
  await takeAll();
  queue.add('a');
  queue.add('a');
  expect(queue.depth).toBe(0);
  queue.done('a');
  expect(await takeAll()).toEqual(['a']);
  queue.done('a');
  expect(queue.depth).toBe(0);
});

test('the urgent go first; among equals the one who came first', async () => {
  const { queue, takeAll } = setUp();
  queue.add('r1', { priority: 'resync' });
  queue.add('p1', { priority: 'repair' });
  queue.add('u1');
  queue.add('u2');
  queue.add('p2', { priority: 'repair' });
  expect(await takeAll()).toEqual(['u1', 'u2', 'p1', 'p2', 'r1']);
});

test('a waiting key becomes as urgent as the most urgent of its adds, and never less', async () => {
  const { queue, takeAll } = setUp();
  queue.add('other', { priority: 'repair' });
  queue.add('key', { priority: 'resync' });
  queue.add('key', { priority: 'user' });
  queue.add('key', { priority: 'resync' });
  expect(await takeAll()).toEqual(['key', 'other']);
});

test('a resync key does not starve: after ten seconds it goes before newer urgent ones', async () => {
  const { clock, queue } = setUp();
  queue.add('patient', { priority: 'resync' });
  const order: string[] = [];
  // One urgent key a second for ever, and a worker that handles exactly one a second.
  for (let second = 0; second < 15; second++) {
    queue.add(`urgent-${second}`);
    order.push((await queue.take())!.key);
    await clock.advance(1_000);
  }
  expect(order.indexOf('patient')).toBe(11);
});

test('a failing key waits twice as long each time, alone, until it is forgotten', async () => {
  const { clock, queue, takeAll } = setUp();
  for (const delayMs of [5, 10, 20, 40]) {
    queue.add('well');
    queue.addAfterFailure('ill');
    await clock.advance(delayMs - 1);
    expect(await takeAll()).toEqual(['well']);
    await clock.advance(1);
    expect(await takeAll()).toEqual(['ill']);
    queue.done('well');
    queue.done('ill');
  }
  queue.forget('ill');
  queue.addAfterFailure('ill');
  await clock.advance(5);
  expect(await takeAll()).toEqual(['ill']);
});

test('the backoff has a cap, however often a key fails', async () => {
  const clock = new ManualClock();
  const queue = new WorkQueue({ name: 'test', clock, backoffCapMs: 1_000 });
  for (let n = 0; n < 2_000; n++) queue.addAfterFailure('ill');
  await clock.advance(1_000);
  expect(queue.depth).toBe(1);
});

test('of two times the earlier counts, and an event now is earlier than both', async () => {
  const { clock, queue, takeAll } = setUp();
  queue.add('a', { afterMs: 100 });
  queue.add('a', { afterMs: 50 });
  queue.add('a', { afterMs: 500 });
  await clock.advance(50);
  expect(await takeAll()).toEqual(['a']);
  queue.done('a');
  await clock.advance(1_000);
  expect(queue.depth).toBe(0);

  queue.add('b', { afterMs: 100 });
  queue.add('b');
  expect(await takeAll()).toEqual(['b']);
  queue.done('b');
  await clock.advance(1_000);
  expect(queue.depth).toBe(0);
});

test('who waits for a key gets it at once; closing wakes everybody who waits', async () => {
  const { queue } = setUp();
  const [first, second] = [queue.take(), queue.take()];
  queue.add('a');
  expect((await first)?.key).toBe('a');
  queue.close();
  expect(await second).toBeUndefined();
  queue.add('b');
  expect(await queue.take()).toBeUndefined();
});

test("the depth is shown by priority with controller-runtime's labels", async () => {
  const { registry, queue } = setUp();
  queue.add('a');
  queue.add('b', { priority: 'resync' });
  const text = await registry.metrics();
  expect(text).toContain('workqueue_depth{name="test",controller="test",priority="0"} 1');
  expect(text).toContain('workqueue_depth{name="test",controller="test",priority="-100"} 1');
  expect(text).toContain('workqueue_adds_total{name="test",controller="test"} 2');
});

test('whatever is added, taken and done: no key is lost, and none is worked on twice at a time', async () => {
  const key = fc.constantFrom('a', 'b', 'c', 'd');
  const step = fc.oneof(
    fc.record({ do: fc.constant('add' as const), key, priority: fc.constantFrom(...PRIORITIES) }),
    fc.record({ do: fc.constant('later' as const), key, afterMs: fc.integer({ min: 1, max: 50 }) }),
    fc.record({ do: fc.constant('take' as const) }),
    fc.record({ do: fc.constant('done' as const), key }),
    fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 60 }) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { clock, queue } = setUp();
      const owed = new Set<string>();
      const inFlight = new Set<string>();
      const take = async (): Promise<void> => {
        const { key } = (await queue.take())!;
        expect(inFlight.has(key)).toBe(false);
        inFlight.add(key);
        owed.delete(key);
      };
      for (const next of steps) {
        if (next.do === 'add') queue.add(next.key, { priority: next.priority });
        if (next.do === 'later') queue.add(next.key, { afterMs: next.afterMs });
        if (next.do === 'add' || next.do === 'later') owed.add(next.key);
        if (next.do === 'take' && queue.depth > 0) await take();
        if (next.do === 'done' && inFlight.delete(next.key)) queue.done(next.key);
        if (next.do === 'advance') await clock.advance(next.ms);
      }
      await clock.advance(100);
      for (const key of inFlight) queue.done(key);
      inFlight.clear();
      while (queue.depth > 0) await take();
      expect([...owed]).toEqual([]);
    }),
    { numRuns: 100 },
  );
});

test('flows take turns: a thousand keys of one delay the key of another by one', async () => {
  const queue = new WorkQueue({ name: 'test', flowOf: (key) => key.split('/')[0] ?? '' });
  for (let n = 0; n < 1000; n++) queue.add(`many/${n}`);
  queue.add('few/1');
  queue.add('few/2');
  const taken = [];
  for (let n = 0; n < 5; n++) taken.push((await queue.take())?.key);
  expect(taken).toEqual(['many/0', 'few/1', 'many/1', 'few/2', 'many/2']);
});

test('what was begun is finished first, and what never finishes keeps nobody out', async () => {
  const { queue, takeAll } = setUp();
  queue.add('new1');
  queue.add('new2');
  for (let n = 1; n <= 6; n++) queue.add(`begun${n}`, { priority: 'finish' });
  expect(await takeAll()).toEqual([
    ...['begun1', 'begun2', 'begun3', 'begun4', 'new1'],
    ...['begun5', 'begun6', 'new2'],
  ]);
});
