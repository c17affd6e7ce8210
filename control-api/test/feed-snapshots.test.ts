import { afterAll, beforeAll, expect, test } from 'vitest';
import { FeedReader } from './feed-client.ts';
import { until } from './link-stage.ts';
import { api, headOf, join, row, stage, startFeed, stopFeed } from './support/feed-stage.ts';

beforeAll(() => startFeed('feed-snapshots'));
afterAll(() => stopFeed());

// Invariant L4.
test('while rows are written, snapshot and tail together give exactly the live rows', async () => {
  const small = await stage.startApi({ snapshot: { rows: 20, bytes: 1_000_000 } });
  const operator = await join(small);
  const keys = Array.from({ length: 300 }, (_, n) => `s${String(n).padStart(3, '0')}`);
  await stage.commit(operator.dataPlaneId, ...keys.map((key) => row(key)));
  let stop = false;
  const writing = (async () => {
    for (let n = 2; !stop; n += 1) {
      const key = keys[(n * 37) % keys.length]!;
      await stage.commit(operator.dataPlaneId, { ...row(key, n), deleted: n % 3 === 0 }, row(`born-${n}`));
      small.link.wake.committed([operator.dataPlaneId]);
    }
  })();
  const reader = await FeedReader.open(small, operator);
  await until('the snapshot is whole', () => reader.of('snapshot').some((page) => page.last));
  stop = true;
  await writing;
  const { head, digest } = await headOf(operator.dataPlaneId);
  await reader.reaches(BigInt(head));
  expect(reader.digest).toBe(digest);
  await small.stop();
});

// Invariant L15.
test('a snapshot names what was deleted while the operator was away', async () => {
  const small = await stage.startApi({ snapshot: { rows: 5, bytes: 1_000_000 } });
  const operator = await join(small);
  const keys = Array.from({ length: 12 }, (_, n) => `t${String(n).padStart(2, '0')}`);
  await stage.commit(operator.dataPlaneId, ...keys.map((key) => row(key)));
  const gone = keys.slice(0, 11);
  await stage.commit(operator.dataPlaneId, ...gone.map((key) => ({ ...row(key, 2), deleted: true })));
  const reader = await FeedReader.open(small, operator);
  await until('the snapshot is whole', () => reader.of('snapshot').some((page) => page.last));
  const ops = reader.of('snapshot').flatMap((page) => page.ops);
  expect(ops.filter((op) => op.op === 'put').map((op) => op.key)).toEqual([row('t11').key]);
  expect(ops.filter((op) => op.op === 'del').map((op) => op.key)).toEqual(gone.map((key) => row(key).key));
  expect(reader.of('snapshot').filter((page) => page.last)).toHaveLength(1);
  await small.stop();
});

test('an empty data plane gets one empty last page', async () => {
  const reader = await FeedReader.open(api, await join());
  await reader.settled(0n);
  expect(reader.of('snapshot')).toMatchObject([{ page: 1, last: true, at: '0', ops: [] }]);
  reader.close();
});
