import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect, onTestFinished, test } from 'vitest';
import { ApiError } from './api-error.ts';
import { Controller, type Reconcile } from './controller.ts';
import { ManualClock } from './manual-clock.ts';
import { RuntimeMetrics } from './metrics.ts';
import { DONE, retry, terminal, waiting } from './outcome.ts';

function setUp(reconcile: Reconcile, maxConcurrentReconciles = 1) {
  const clock = new ManualClock();
  const registry = new Registry();
  const controller = new Controller({
    name: 'test',
    reconcile,
    log: pino({ level: 'silent' }),
    metrics: new RuntimeMetrics(registry),
    clock,
    maxConcurrentReconciles,
    reconcileTimeoutMs: 1_000,
    drainMs: 500,
  });
  const stopping = new AbortController();
  const running = controller.run(stopping.signal);
  const stop = (): Promise<void> => {
    stopping.abort();
    return running;
  };
  onTestFinished(async () => {
    stopping.abort();
    await clock.advance(10_000);
  });
  const total = async (result: string): Promise<string> =>
    (await registry.metrics()).match(
      new RegExp(`^controller_runtime_reconcile_total{controller="test",result="${result}"} (\\d+)$`, 'm'),
    )?.[1] ?? 'missing';
  return { clock, registry, controller, stop, total };
}

test('every result has its series from the start, at zero', async () => {
  const { total } = setUp(async () => DONE);
  for (const result of ['success', 'error', 'requeue', 'requeue_after'])
    expect(await total(result)).toBe('0');
});

test('each outcome is counted and leads to what it says', async () => {
  const outcomes = [retry('try'), retry('try'), waiting('pods start', 100), terminal('bad'), DONE];
  const at: number[] = [];
  const { clock, controller, total } = setUp(async () => {
    at.push(clock.nowMs());
    return outcomes.shift()!;
  });
  controller.enqueue('a');
  await clock.advance(1_000);
  // 5 and 10 ms of backoff, then the wished time; after the terminal one nothing comes by itself.
  expect(at).toEqual([0, 5, 15, 115]);
  controller.enqueue('a');
  await clock.advance(0);
  expect([await total('success'), await total('error'), await total('requeue_after')]).toEqual([
    '1',
    '3',
    '1',
  ]);
});

test("the API server's Retry-After is honoured instead of the backoff", async () => {
  const at: number[] = [];
  const { clock, controller } = setUp(async () => {
    at.push(clock.nowMs());
    return at.length === 1
      ? retry('busy', new Error('wrapped', { cause: new ApiError(429, '', 'busy', { retryAfterMs: 700 }) }))
      : DONE;
  });
  controller.enqueue('a');
  await clock.advance(1_000);
  expect(at).toEqual([0, 700]);
});

test('a programming error is a panic: counted, retried, and the worker lives', async () => {
  let runs = 0;
  const { clock, controller, registry, total } = setUp(async () => {
    if (++runs === 1) (undefined as unknown as { boom(): void }).boom();
    return DONE;
  });
  controller.enqueue('a');
  await clock.advance(100);
  expect(await total('success')).toBe('1');
  expect(await registry.metrics()).toContain(
    'controller_runtime_reconcile_panics_total{controller="test"} 1',
  );
});

test('as many as allowed run at a time, and never two of one key', async () => {
  let active = 0;
  let most = 0;
  const keys = new Set<string>();
  const { clock, controller } = setUp(async (key) => {
    expect(keys.has(key)).toBe(false);
    keys.add(key);
    most = Math.max(most, ++active);
    await clock.sleep(10);
    active--;
    keys.delete(key);
    return DONE;
  }, 3);
  for (let n = 0; n < 20; n++) controller.enqueue(`k${n % 7}`);
  await clock.advance(5);
  for (let n = 0; n < 7; n++) controller.enqueue(`k${n}`);
  await clock.advance(1_000);
  expect(most).toBe(3);
  expect(controller.queue.depth + controller.queue.inFlight).toBe(0);
});

test('a reconcile that takes too long is aborted; one that ignores this loses its worker, not its lock', async () => {
  let release = (): void => undefined;
  const started: string[] = [];
  const { clock, controller, registry } = setUp(async (key, { signal }) => {
    started.push(key);
    if (key === 'deaf') await new Promise<void>((resolve) => (release = resolve));
    if (key === 'slow') await clock.sleep(60_000, signal);
    return DONE;
  });
  controller.enqueue('slow');
  await clock.advance(1_001);
  controller.enqueue('deaf');
  await clock.advance(3_100);
  controller.enqueue('next');
  controller.enqueue('deaf');
  await clock.advance(1_000);
  expect(started).toEqual(['slow', 'deaf', 'next']);
  expect(await registry.metrics()).toContain(
    'controller_runtime_reconcile_timeouts_total{controller="test"} 2',
  );
  release();
  await clock.advance(10);
  expect(started.filter((key) => key === 'deaf').length).toBeGreaterThan(1);
});

test('a stop lets what runs end, and starts nothing more', async () => {
  const finished: string[] = [];
  const { clock, controller, stop } = setUp(async (key) => {
    await clock.sleep(100);
    finished.push(key);
    return DONE;
  });
  controller.enqueue('running');
  controller.enqueue('waiting');
  await clock.advance(50);
  const stopped = stop();
  await clock.advance(200);
  await stopped;
  expect(finished).toEqual(['running']);
});

test('a stop does not wait for ever: after the drain time the signal aborts', async () => {
  let aborted = false;
  const { clock, controller, stop } = setUp(async (_, { signal }) => {
    await clock.sleep(900, signal);
    aborted = signal.aborted;
    return DONE;
  });
  controller.enqueue('a');
  await clock.advance(10);
  const stopped = stop();
  await clock.advance(501);
  await stopped;
  expect(aborted).toBe(true);
});
