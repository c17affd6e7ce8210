import { afterAll, beforeAll, expect, test } from 'vitest';
import { FeedReader } from './feed-client.ts';
import { type ApiProcess, until } from './link-stage.ts';
import { api, join, metric, row, stage, startFeed, stopFeed } from './support/feed-stage.ts';

beforeAll(() => startFeed('feed-connections'));
afterAll(() => stopFeed());

test('heartbeats are bookmarks', async () => {
  const beating = await stage.startApi({ heartbeatMs: 300, tickMs: 50 });
  const reader = await FeedReader.open(beating, await join(beating));
  await until('three bookmarks arrive', () => reader.of('bookmark').length >= 3);
  await beating.stop();
});

test('a stream ends at its age, and the whole process drains on shutdown', async () => {
  const ageing = await stage.startApi({ minAgeMs: 200, maxAgeMs: 300 });
  const reader = await FeedReader.open(ageing, await join(ageing));
  expect(await reader.frame('drain')).toMatchObject({ reason: 'rotate' });
  await ageing.stop();
  const stopping = await stage.startApi();
  const open = await FeedReader.open(stopping, await join(stopping));
  await stopping.stop();
  const drain = await open.frame('drain');
  expect(drain.reason).toBe('shutdown');
  expect(drain.retryMaxMs).toBeGreaterThanOrEqual(1_000);
});

// Invariant L30.
test('many data planes that are woken at once share the bytes of one read', async () => {
  const frugal = await stage.startApi({ pollMs: 60_000, batchBytes: 40_000 });
  const operators = await Promise.all(Array.from({ length: 4 }, () => join(frugal)));
  const readers = await Promise.all(operators.map((operator) => FeedReader.open(frugal, operator)));
  for (const reader of readers) await reader.settled(0n);
  await noReadIsPending(frugal);
  const text = 'x'.repeat(10_000);
  const changes = Array.from({ length: 10 }, (_, n) => ({ ...row(`share-${n}`), spec: { text } }));
  for (const { dataPlaneId } of operators) await stage.commit(dataPlaneId, ...changes);
  frugal.link.wake.committed(operators.map(({ dataPlaneId }) => dataPlaneId));
  for (const reader of readers) {
    await reader.settled(10n);
    expect(reader.of('delta')[0]?.ops).toHaveLength(1);
  }
  await frugal.stop();
});

/** The process reads in rounds: what was asked for when somebody connected is in the second of these at the latest. */
async function noReadIsPending(process: ApiProcess): Promise<void> {
  const operator = await join(process);
  const reader = await FeedReader.open(process, operator);
  for (const key of ['first', 'second']) {
    const head = await stage.commit(operator.dataPlaneId, row(key));
    process.link.wake.committed([operator.dataPlaneId]);
    await reader.reaches(head);
  }
  reader.close();
}

// Invariant L30.
test('who does not read is drained, and meanwhile costs one page of memory', async () => {
  const strict = await stage.startApi({ slowMs: 500, delta: { rows: 50, bytes: 256 * 1024 } });
  const operator = await join(strict);
  const reader = await FeedReader.open(strict, operator);
  await reader.settled(0n);
  reader.pause();
  const text = 'x'.repeat(200_000);
  for (let n = 0; n < 150; n += 1)
    await stage.commit(operator.dataPlaneId, { ...row(`fat-${n}`), spec: { text } });
  strict.link.wake.committed([operator.dataPlaneId]);
  await until('the slow stream is gone', async () => (await metric(strict, 'felucca_feed_streams')) === 0);
  expect(await metric(strict, 'felucca_feed_drains_total')).toBe(1);
  await strict.stop();
});

test('when the database goes away and comes back, streams go on without a reconnect', async () => {
  const operator = await join();
  const reader = await FeedReader.open(api, operator);
  await reader.settled(0n);
  await stage.postgres.restart();
  const head = await until('a commit works again', () =>
    stage.commit(operator.dataPlaneId, row('after-restart')).catch(() => undefined),
  );
  api.link.wake.committed([operator.dataPlaneId]);
  await reader.reaches(head);
  expect(reader.ended).toBe(false);
  reader.close();
});
