import { createPublicKey, randomUUID, verify } from 'node:crypto';
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import {
  bucketDigests,
  bucketOf,
  bucketSet,
  type DigestRow,
  differingBuckets,
  formatDigest,
  hasBucket,
  rowDigest,
  signedBytes,
} from '@felucca/contract';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compactTombstones } from '../src/feed/compaction.ts';
import { checkLineage } from '../src/feed/lineage.ts';
import { createClaims } from '../src/feed/sessions.ts';
import { FeedReader, NOTHING } from './feed-client.ts';
import {
  type ApiProcess,
  type Change,
  commit,
  type Stage,
  startStage,
  TestOperator,
  until,
} from './link-stage.ts';

let stage: Stage;
let api: ApiProcess;
beforeAll(async () => {
  stage = await startStage('feed');
  api = await stage.startApi({ pollMs: 60_000 });
});
afterAll(() => stage?.stop());

/** A joined operator of a fresh data plane. */
async function join(on: ApiProcess = api): Promise<TestOperator> {
  return TestOperator.joined(stage, on, await stage.createDataPlane());
}
const row = (key: string, generation = 1): Change => ({ key: `acme/${key}`, id: idOf(key), generation });
const ids = new Map<string, string>();
function idOf(key: string): string {
  const id = ids.get(key) ?? randomUUID();
  ids.set(key, id);
  return id;
}
/** Commits and wakes this API process, as its own resources do. */
async function write(operator: TestOperator, ...changes: Change[]): Promise<bigint> {
  const head = await stage.commit(operator.dataPlaneId, ...changes);
  api.link.wake.committed([operator.dataPlaneId]);
  return head;
}
const headOf = async (dataPlaneId: string) => {
  const { rows } = await stage.admin.query<{
    head: string;
    epoch: string;
    compacted: string;
    digest: string;
  }>(
    `SELECT head::text, epoch, compacted::text,
       lpad(to_hex(digest_a), 16, '0') || lpad(to_hex(digest_b), 16, '0') AS digest
     FROM felucca.feed_heads WHERE data_plane_id = $1`,
    [dataPlaneId],
  );
  return rows[0]!;
};
/** Moves the durable cursor of the operator to the head, as a report would. */
async function acknowledge(reader: FeedReader, operator: TestOperator): Promise<void> {
  const { epoch, cursor, digest } = reader.position;
  const answer = await operator.report(api, {
    session: reader.hello.session,
    epoch,
    seq: 1,
    ack: { cursor, digest },
  });
  expect(answer.status).toBe(200);
}

describe('delivery', () => {
  test('a commit reaches a connected operator as a signed row that verifies', async () => {
    const operator = await join();
    const reader = await FeedReader.open(api, operator);
    await reader.settled(0n);
    const head = await write(operator, {
      ...row('one'),
      spec: { blueprintRef: { name: 'web', version: '1.0.0' } },
    });
    await reader.settled(head);
    const op = [...reader.live.values()][0]!;
    if (op.op !== 'put') throw new Error('not a put');
    expect(op).toMatchObject({ kind: 'Instance', key: 'acme/one', rev: '1', generation: 1 });
    const { kind, key, id, generation, hash } = op;
    const bytes = signedBytes({
      dataPlaneId: operator.dataPlaneId,
      kind,
      key,
      id,
      generation,
      hash,
      deleted: false,
    });
    const x = operator.identity?.signingKeys[op.kid] ?? '';
    const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    expect(verify(null, bytes, publicKey, Buffer.from(op.sig, 'base64url'))).toBe(true);
    expect(reader.digest).toBe(reader.of('bookmark').at(-1)?.digest);
    reader.close();
  });

  test('a delta names Blueprint, Tenant, Instance in this order, tombstones last', async () => {
    const operator = await join();
    await stage.commit(operator.dataPlaneId, row('gone'));
    const reader = await FeedReader.open(api, operator);
    await reader.settled(1n);
    const head = await write(
      operator,
      { ...row('gone', 2), deleted: true },
      row('new'),
      { kind: 'Tenant', key: 'acme', id: randomUUID() },
      { kind: 'Blueprint', key: 'web-1-0-0', id: 'b'.repeat(64) },
    );
    await reader.settled(head);
    expect(reader.of('delta').flatMap((delta) => delta.ops.map((op) => `${op.op} ${op.kind}`))).toEqual([
      'put Blueprint',
      'put Tenant',
      'put Instance',
      'del Instance',
    ]);
    reader.close();
  });

  // Invariant L1.
  test('16 concurrent writers with random durations and rollbacks: nothing lost, nothing out of order', async () => {
    const operator = await join();
    const reader = await FeedReader.open(api, operator);
    let committed = 0;
    const writer = async (n: number): Promise<void> => {
      for (let round = 0; round < 25; round += 1) {
        const client = await stage.admin.connect();
        try {
          await client.query('BEGIN');
          await client.query('SELECT pg_sleep($1)', [Math.random() * (round % 20 === 0 ? 0.1 : 0.015)]);
          const key = `w${n}-${round % 5}`;
          const generation = round + 1;
          await commit(client, stage.signer, operator.dataPlaneId, [
            row(key, generation),
            row(`${key}x`, generation),
          ]);
          if (Math.random() < 0.15) await client.query('ROLLBACK');
          else {
            await client.query('COMMIT');
            committed += 2;
            api.link.wake.committed([operator.dataPlaneId]);
          }
        } finally {
          client.release();
        }
      }
    };
    await Promise.all(Array.from({ length: 16 }, (_, n) => writer(n)));
    const { head, digest } = await headOf(operator.dataPlaneId);
    expect(BigInt(head)).toBe(BigInt(committed));
    await reader.reaches(BigInt(head));
    const { rows } = await stage.admin.query<{ name: string; rev: string; hash: string }>(
      `SELECT kind || '/' || key || '/' || id AS name, rev::text, hash FROM felucca.desired WHERE data_plane_id = $1`,
      [operator.dataPlaneId],
    );
    expect(new Map([...reader.live].map(([name, op]) => [name, op.rev]))).toEqual(
      new Map(rows.map(({ name, rev }) => [name, rev])),
    );
    expect(reader.digest).toBe(digest);
    for (const delta of reader.of('delta')) expect(BigInt(delta.to)).toBeGreaterThan(BigInt(delta.from));
    reader.close();
  });

  // Invariant L2.
  test('a page is bounded; the rest follows at once and only the last one is complete', async () => {
    const small = await stage.startApi({
      delta: { rows: 10, bytes: 4_000 },
      snapshot: { rows: 10, bytes: 4_000 },
    });
    const operator = await join(small);
    await stage.commit(operator.dataPlaneId, ...Array.from({ length: 35 }, (_, n) => row(`page-${n}`)));
    const snapshot = await FeedReader.open(small, operator);
    await snapshot.settled(35n);
    expect(snapshot.of('snapshot').map((page) => [page.page, page.at, page.last])).toEqual([
      [1, '35', false],
      [2, '35', false],
      [3, '35', false],
      [4, '35', true],
    ]);
    expect(snapshot.live.size).toBe(35);
    const delta = await FeedReader.open(small, operator, { epoch: snapshot.epoch, cursor: '0', digest: '' });
    await delta.settled(35n);
    expect(delta.of('delta').map((page) => [page.to, page.complete])).toEqual([
      ['10', false],
      ['20', false],
      ['30', false],
      ['35', true],
    ]);
    await stage.commit(
      operator.dataPlaneId,
      { ...row('huge'), spec: { text: 'x'.repeat(10_000) } },
      row('after'),
    );
    small.link.wake.committed([operator.dataPlaneId]);
    await delta.settled(37n);
    expect(
      delta
        .of('delta')
        .slice(4)
        .map((page) => page.ops.length),
    ).toEqual([1, 1]);
    await small.stop();
  });

  // Invariant L34.
  test('revisions beyond the integers of JSON are exact: in deltas, snapshots, reports and cursors', async () => {
    const operator = await join();
    const start = 2n ** 53n;
    await stage.admin.query('UPDATE felucca.feed_heads SET head = $2 WHERE data_plane_id = $1', [
      operator.dataPlaneId,
      String(start),
    ]);
    const reader = await FeedReader.open(api, operator);
    await reader.settled(start);
    const head = await write(operator, row('big-1'), row('big-2'), row('big-3'));
    expect(head).toBe(start + 3n);
    await reader.settled(head);
    expect(reader.tail).toEqual([start + 1n, start + 2n, start + 3n]);
    expect(reader.digest).toBe((await headOf(operator.dataPlaneId)).digest);
    await acknowledge(reader, operator);
    reader.close();
    const behind = { ...reader.position, cursor: String(start + 1n) };
    const resumed = await FeedReader.open(api, operator, behind, { from: reader });
    await resumed.settled(head);
    expect([resumed.hello.mode, resumed.tail]).toEqual(['resume', [start + 2n, start + 3n]]);
    resumed.close();
    const fresh = await FeedReader.open(api, operator);
    await fresh.settled(head);
    expect([...fresh.live.values()].map(({ rev }) => BigInt(rev)).sort()).toEqual(reader.tail);
    fresh.close();
  });

  test('a change in one API process wakes the operators of another', async () => {
    const other = await stage.startApi({ pollMs: 60_000 });
    const operator = await join();
    const reader = await FeedReader.open(other, operator);
    await until(
      'the other process listens',
      async () => (await metric(other, 'felucca_feed_listening')) === 1,
    );
    const head = await write(operator, row('across'));
    await reader.reaches(head, 3_000);
    await other.stop();
  });

  // Invariant L3.
  test('a lost notification costs seconds, never an event', async () => {
    const other = await stage.startApi({ pollMs: 300 });
    const operator = await join();
    const reader = await FeedReader.open(other, operator);
    await until(
      'the other process listens',
      async () => (await metric(other, 'felucca_feed_listening')) === 1,
    );
    // Committed with no wake-up at all: only the poll can find it.
    const head = await stage.commit(operator.dataPlaneId, row('quiet'));
    await reader.reaches(head, 5_000);
    await stage.admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'felucca-listen'`,
    );
    const next = await write(operator, row('after-termination'));
    await reader.reaches(next, 5_000);
    await until('it listens again', async () => (await metric(other, 'felucca_feed_listening')) === 1);
    await other.stop();
  });
});

describe('resume', () => {
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
    const again = await FeedReader.open(
      api,
      operator,
      { ...reader.position, cursor: '99' },
      { from: reader },
    );
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
    await stage.admin.query(
      'UPDATE felucca.feed_heads SET digest_a = digest_a # 1 WHERE data_plane_id = $1',
      [operator.dataPlaneId],
    );
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
});

describe('snapshots', () => {
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
  test('name what was deleted while the operator was away', async () => {
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
});

describe('sessions', () => {
  // Invariant L19.
  test('a second session with the same term takes over; the older one is told and ends', async () => {
    const operator = await join();
    const older = await FeedReader.open(api, operator);
    const newer = await FeedReader.open(api, operator);
    expect(await older.frame('error')).toMatchObject({ code: 'SUPERSEDED', retryable: false });
    await until('the older stream ends', () => older.ended);
    await newer.reaches(await write(operator, row('for-newer')));
    expect(older.of('delta')).toEqual([]);
    newer.close();
  });

  // Invariant L19.
  test('a hello whose operator has given up takes nothing from the stream that it opened since', async () => {
    const operator = await join();
    const holder = await FeedReader.open(api, operator);
    const { dataPlaneId } = operator;
    const claim = { dataPlaneId, session: 'late', term: 99, instance: 'o', isOver: () => true };
    expect(await createClaims(stage.admin)(claim)).toBeUndefined();
    await holder.reaches(await write(operator, row('for-the-holder')));
    expect(await createClaims(stage.admin)({ ...claim, isOver: () => false })).toMatchObject({
      granted: true,
    });
    holder.close();
  });

  // Invariant L41.
  test('of more streams than are listened to, the end of each is noticed in its turn', async () => {
    const busy = await stage.startApi({ listenedTo: 1 });
    const operators = [await join(busy), await join(busy), await join(busy)];
    const readers: FeedReader[] = [];
    for (const operator of operators) readers.push(await FeedReader.open(busy, operator));
    const dataPlanes = operators.map(({ dataPlaneId }) => dataPlaneId);
    const ended = async (): Promise<number> => {
      const { rows } = await stage.admin.query(
        'SELECT FROM felucca.feed_sessions WHERE data_plane_id = ANY($1) AND ended_at IS NOT NULL',
        [dataPlanes],
      );
      return rows.length;
    };
    // All have been told that they are not listened to, each but one.
    await setTimeout(500);
    expect(await ended()).toBe(0);
    for (const reader of readers) reader.close();
    await until('all three have ended', async () => ((await ended()) === 3 ? true : undefined));
    await busy.stop();
  });

  // Invariant L41.
  test('a connection whose long poll was not listened to serves the next one', async () => {
    const deaf = await stage.startApi({ listenedTo: 0 });
    const operator = await join(deaf);
    const path = `/v1/data-planes/${operator.dataPlaneId}/sync`;
    // Of somebody who has all: the first contact would be answered before the first tick.
    const first = await FeedReader.open(deaf, operator, NOTHING, { wait: 0 });
    await until('the poll ends', () => first.ended);
    const query = new URLSearchParams({ proto: '1', ...first.position, wait: '1' });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const poll = async (): Promise<{ status: number | undefined; reused: boolean }> => {
      const headers = { authorization: await operator.authorization('GET', path) };
      const call = request(`${deaf.url}${path}?${query}`, { agent, headers }).end();
      const [answer] = (await once(call, 'response')) as [IncomingMessage];
      answer.resume();
      await once(answer, 'end');
      return { status: answer.statusCode, reused: call.reusedSocket };
    };
    expect(await poll()).toEqual({ status: 200, reused: false });
    expect(await poll()).toEqual({ status: 200, reused: true });
    agent.destroy();
    await deaf.stop();
  });

  // Invariant L19.
  test('a session with a lower term is refused and the holder stays', async () => {
    const operator = await join();
    const holder = await FeedReader.open(api, operator, NOTHING, { term: 5 });
    const stale = await FeedReader.open(api, operator, NOTHING, { term: 4 });
    expect(await stale.frame('error')).toMatchObject({ code: 'SUPERSEDED' });
    await holder.reaches(await write(operator, row('for-holder')));
    const next = await FeedReader.open(api, operator, NOTHING, { term: 6 });
    expect(await holder.frame('error')).toMatchObject({ code: 'SUPERSEDED' });
    next.close();
  });

  // Invariant L19.
  test('a session on another API process is superseded too', async () => {
    const other = await stage.startApi({ pollMs: 300 });
    const operator = await join();
    const older = await FeedReader.open(other, operator);
    const newer = await FeedReader.open(api, operator);
    expect(await older.frame('error')).toMatchObject({ code: 'SUPERSEDED' });
    newer.close();
    await other.stop();
  });

  test('joining anew after a rebuilt cluster starts the terms from zero', async () => {
    const operator = await join();
    const old = await FeedReader.open(api, operator, NOTHING, { term: 9 });
    const rebuilt = await TestOperator.joined(stage, api, operator.dataPlaneId);
    const reader = await FeedReader.open(api, rebuilt, NOTHING, { term: 0 });
    expect(reader.hello.mode).toBe('reset');
    old.close();
    reader.close();
  });
});

describe('long poll', () => {
  test('answers at once when rows wait, with the frames of the stream', async () => {
    const operator = await join();
    await stage.commit(operator.dataPlaneId, row('p1'));
    const reader = await FeedReader.open(api, operator, NOTHING, { wait: 30 });
    await until('the poll ends', () => reader.ended);
    expect(reader.frames.map((frame) => frame.type)).toEqual(['hello', 'snapshot', 'bookmark']);
  });

  test('waits for a commit, then ends', async () => {
    const operator = await join();
    const first = await FeedReader.open(api, operator, NOTHING, { wait: 0 });
    await until('the poll ends', () => first.ended);
    const reader = await FeedReader.open(api, operator, first.position, { wait: 30, from: first });
    const head = await write(operator, row('polled'));
    await until('the poll ends', () => reader.ended);
    expect(reader.frames.map((frame) => frame.type)).toEqual(['hello', 'delta', 'bookmark']);
    expect(reader.cursor).toBe(head);
  });

  test('ends with a bookmark when nothing happens', async () => {
    const operator = await join();
    const first = await FeedReader.open(api, operator, NOTHING, { wait: 0 });
    await until('the poll ends', () => first.ended);
    const reader = await FeedReader.open(api, operator, first.position, { wait: 1 });
    await until('the poll ends', () => reader.ended);
    expect(reader.frames.map((frame) => frame.type)).toEqual(['hello', 'bookmark']);
  });
});

describe('care for connections', () => {
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
});

// Invariant L6.
test('the digest that feed_commit keeps in SQL is the contract’s XOR of row terms', async () => {
  const operator = await join();
  for (let round = 1; round <= 40; round += 1)
    await stage.commit(
      operator.dataPlaneId,
      ...Array.from({ length: 1 + (round % 4) }, (_, n) => ({
        ...row(`d${(round * 7 + n * 3) % 11}`, round),
        deleted: (round + n) % 5 === 0,
      })),
    );
  const { rows } = await stage.admin.query<DigestRow>(
    'SELECT kind, key, id, rev::text, generation::int, hash FROM felucca.desired WHERE data_plane_id = $1 AND deleted_at IS NULL',
    [operator.dataPlaneId],
  );
  let digest = 0n;
  for (const row of rows) digest ^= rowDigest(row);
  const head = await headOf(operator.dataPlaneId);
  expect(head.digest).toBe(formatDigest(digest));
  const reader = await FeedReader.open(api, operator, NOTHING, { wait: 0 });
  await until('the poll ends', () => reader.ended);
  expect(reader.of('bookmark')[0]).toMatchObject({ digest: head.digest, count: rows.length });
});

async function metric(process: ApiProcess, name: string): Promise<number> {
  const values = (await process.registry.getSingleMetric(name)?.get())?.values ?? [];
  return values.reduce((sum, value) => sum + value.value, 0);
}
