import { bucketDigests, bucketOf, bucketSet, differingBuckets, hasBucket } from '@felucca/contract';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compactTombstones } from '../src/feed/compaction.ts';
import { checkLineage } from '../src/feed/lineage.ts';
import { FeedReader, NOTHING } from './feed-client.ts';
import { type TestOperator, until } from './link-stage.ts';
import {
  acknowledge,
  api,
  headOf,
  join,
  metric,
  row,
  stage,
  startFeed,
  stopFeed,
  write,
} from './support/feed-stage.ts';

beforeAll(() => startFeed('feed-resume'));
afterAll(() => stopFeed());

/** An operator with three rows, one tombstone, fully in step. */
async function inStep(): Promise<{ operator: TestOperator; reader: FeedReader }> {
  const operator = await join();
  await stage.commit(operator.dataPlaneId, row('r1'), row('r2'), row('r3'));
  const reader = await FeedReader.open(api, operator);
  await reader.settled(3n);
  await reader.settled(await write(operator, { ...row('r3', 2), deleted: true }));
  return { operator, reader };
}

test('at the head with an equal digest nothing is sent but a bookmark', async () => {
  const { operator, reader } = await inStep();
  const again = await FeedReader.open(api, operator, reader.position, { from: reader });
  await again.settled(4n);
  expect(again.hello).toMatchObject({ mode: 'resume', head: '4', digest: reader.digest });
  expect(again.frames.map((frame) => frame.type)).toEqual(['hello', 'bookmark']);
  again.close();
});

test('behind the head only what changed is sent', async () => {
  const { operator, reader } = await inStep();
  reader.close();
  const head = await write(operator, row('r1', 2));
  const again = await FeedReader.open(api, operator, reader.position, { from: reader });
  await again.settled(head);
  expect(again.of('delta').flatMap((delta) => delta.ops.map((op) => op.key))).toEqual(['acme/r1']);
  expect(again.digest).toBe((await headOf(operator.dataPlaneId)).digest);
  again.close();
});

test('a first contact gets a snapshot', async () => {
  const { operator } = await inStep();
  const again = await FeedReader.open(api, operator, NOTHING);
  await again.settled(4n);
  expect(again.hello).toMatchObject({ mode: 'reset', reason: 'NEW' });
  expect(again.live.size).toBe(2);
  again.close();
});

test('below the compaction point a snapshot comes, above it a delta', async () => {
  const { operator, reader } = await inStep();
  await acknowledge(reader, operator);
  expect(await compactTombstones(stage.admin, { retentionMs: 3_600_000 })).toBeGreaterThan(0);
  expect(await headOf(operator.dataPlaneId)).toMatchObject({
    compacted: '4',
    head: '4',
    digest: reader.digest,
  });
  const old = await FeedReader.open(api, operator, { ...reader.position, cursor: '3', digest: '' });
  expect(old.hello).toMatchObject({ mode: 'reset', reason: 'COMPACTED', compacted: '4' });
  await old.settled(4n);
  const current = await FeedReader.open(api, operator, reader.position, { from: reader });
  expect(current.hello.mode).toBe('resume');
  current.close();
});

// Invariant L15.
test('tombstones that were not acknowledged stay until they are older than the retention', async () => {
  const { operator, reader } = await inStep();
  reader.close();
  await compactTombstones(stage.admin, { retentionMs: 3_600_000 });
  const count = async () =>
    (
      await stage.admin.query(
        'SELECT FROM felucca.desired WHERE data_plane_id = $1 AND deleted_at IS NOT NULL',
        [operator.dataPlaneId],
      )
    ).rowCount;
  expect(await count()).toBe(1);
  await compactTombstones(stage.admin, { retentionMs: 0 });
  expect(await count()).toBe(0);
});

// Invariant L11.
test('another epoch with an equal digest goes on without a snapshot', async () => {
  const { operator, reader } = await inStep();
  await stage.admin.query("UPDATE felucca.feed_heads SET epoch = 'moved' WHERE data_plane_id = $1", [
    operator.dataPlaneId,
  ]);
  const again = await FeedReader.open(api, operator, { ...reader.position, cursor: '99' }, { from: reader });
  await again.settled(4n);
  expect(again.cursor).toBe(4n);
  expect(again.hello).toMatchObject({ mode: 'resume', epoch: 'moved', head: '4' });
  expect(again.of('snapshot')).toEqual([]);
  again.close();
});

test('another epoch with another digest gets a snapshot', async () => {
  const { operator, reader } = await inStep();
  await stage.admin.query("UPDATE felucca.feed_heads SET epoch = 'moved' WHERE data_plane_id = $1", [
    operator.dataPlaneId,
  ]);
  const again = await FeedReader.open(api, operator, { ...reader.position, digest: 'f'.repeat(32) });
  expect(again.hello).toMatchObject({ mode: 'reset', reason: 'EPOCH', epoch: 'moved' });
  again.close();
});

// Invariant L10.
test('a cursor from the future raises an alarm and begins a new epoch', async () => {
  const { operator, reader } = await inStep();
  const again = await FeedReader.open(api, operator, { ...reader.position, cursor: '1000' });
  expect(again.hello).toMatchObject({ mode: 'reset', reason: 'CURSOR_AHEAD' });
  expect(again.hello.epoch).not.toBe(reader.epoch);
  expect((await headOf(operator.dataPlaneId)).epoch).toBe(again.hello.epoch);
  expect(api.logs.some((line) => line.includes('was a backup restored'))).toBe(true);
  await again.settled(4n);
  again.close();
});

// Invariant L7.
test('a late writer of an older generation, and one that has nothing new to say, leave the row as it is', async () => {
  const operator = await join();
  const wanted = { ...row('late', 2), spec: { n: 'new' } };
  const head = await stage.commit(operator.dataPlaneId, wanted);
  expect(await stage.commit(operator.dataPlaneId, { ...row('late', 1), id: wanted.id })).toBe(head);
  expect(await stage.commit(operator.dataPlaneId, wanted)).toBe(head);
  const deletion = { ...wanted, generation: 3, deleted: true };
  expect(await stage.commit(operator.dataPlaneId, deletion)).toBe(head + 1n);
  for (const late of [wanted, deletion])
    expect(await stage.commit(operator.dataPlaneId, late)).toBe(head + 1n);
});

// Invariant L10.
test('a database that goes back while a stream is open ends the stream, so that the operator learns of it', async () => {
  const { operator, reader } = await inStep();
  await stage.admin.query('DELETE FROM felucca.desired WHERE data_plane_id = $1 AND rev > 2', [
    operator.dataPlaneId,
  ]);
  await stage.admin.query('UPDATE felucca.feed_heads SET head = 2 WHERE data_plane_id = $1', [
    operator.dataPlaneId,
  ]);
  await write(operator, row('after-the-restore'));
  await until('the stream is ended', () => reader.ended);
  expect(reader.frames.at(-1)).toMatchObject({ type: 'drain', reason: 'rotate' });
  const again = await FeedReader.open(api, operator, reader.position);
  expect(again.hello).toMatchObject({ mode: 'reset', reason: 'CURSOR_AHEAD' });
  again.close();
});

test('the head with another digest gets a snapshot', async () => {
  const { operator, reader } = await inStep();
  const again = await FeedReader.open(api, operator, { ...reader.position, digest: 'f'.repeat(32) });
  expect(again.hello).toMatchObject({ mode: 'reset', reason: 'DIVERGED', epoch: reader.epoch });
  again.close();
});

// Invariant L35.
test('who can verify is told the digests of buckets, and gets the rows of those that differ beside the tail', async () => {
  const operator = await join();
  await stage.commit(operator.dataPlaneId, ...Array.from({ length: 40 }, (_, index) => row(`v${index}`)));
  const reader = await FeedReader.open(api, operator);
  await reader.settled(40n);
  reader.close();
  // One got lost, and one is there that should not be.
  const lost = [...reader.rows].find(([, op]) => op.key === 'acme/v7')!;
  reader.rows.delete(lost[0]);
  reader.rows.set('Instance/acme/ghost/g', { ...lost[1], key: 'acme/ghost' });
  const first = await FeedReader.open(api, operator, reader.position, { verify: true });
  expect(await first.frame('hello')).toMatchObject({ mode: 'verify', head: '40' });
  const ours = bucketDigests([...reader.live.values()].filter((op) => op.op === 'put'));
  const repair = differingBuckets(ours, first.hello.buckets!);
  const expected = ['acme/v7', 'acme/ghost'].map((key) => bucketOf('Instance', key));
  expect(repair).toBe(bucketSet(expected));
  const again = await FeedReader.open(api, operator, reader.position, {
    from: reader,
    verify: true,
    repair,
  });
  await until('the repair is complete', () => again.of('snapshot').at(-1)?.last);
  expect(again.hello).toMatchObject({ mode: 'resume', repair });
  const sent = again.of('snapshot').flatMap((page) => page.ops);
  expect(sent.map(({ key }) => key)).toContain('acme/v7');
  expect(sent.every(({ kind, key }) => hasBucket(repair, bucketOf(kind, key)))).toBe(true);
  again.rows.delete('Instance/acme/ghost/g');
  expect([again.cursor, again.digest]).toEqual([40n, (await headOf(operator.dataPlaneId)).digest]);
  // The tail goes on.
  await again.settled(await write(operator, row('v1', 2)));
  again.close();
});

// Invariant L35.
test('a counter whose digest is not that of its rows is set right before anybody is sent to look', async () => {
  const { operator, reader } = await inStep();
  await stage.admin.query('UPDATE felucca.feed_heads SET digest_a = digest_a # 1 WHERE data_plane_id = $1', [
    operator.dataPlaneId,
  ]);
  const again = await FeedReader.open(api, operator, reader.position, { from: reader, verify: true });
  await again.settled(4n);
  expect(again.hello).toMatchObject({ mode: 'resume', digest: reader.digest });
  expect((await headOf(operator.dataPlaneId)).digest).toBe(reader.digest);
  expect(await metric(api, 'felucca_feed_digests_corrected_total')).toBe(1);
  again.close();
});

// Invariant L10.
test('a restored database begins a new epoch for every data plane, once', async () => {
  const { operator, reader } = await inStep();
  expect(await checkLineage(stage.admin)).toBe(0);
  await stage.admin.query("UPDATE felucca.feed_lineage SET system_identifier = 'of the backup'");
  expect(await checkLineage(stage.admin)).toBeGreaterThan(0);
  expect(await checkLineage(stage.admin)).toBe(0);
  const { epoch } = await headOf(operator.dataPlaneId);
  expect(epoch).not.toBe(reader.epoch);
  // The open stream speaks of the old one: it is asked to come back.
  api.link.wake.committed([operator.dataPlaneId]);
  expect(await reader.frame('drain')).toMatchObject({ reason: 'rotate' });
});
