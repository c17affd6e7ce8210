import { createPublicKey, randomUUID, verify } from 'node:crypto';
import { type DigestRow, formatDigest, rowDigest, signedBytes } from '@felucca/contract';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FeedReader, NOTHING } from './feed-client.ts';
import { commit, until } from './link-stage.ts';
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

beforeAll(() => startFeed('feed-delivery'));
afterAll(() => stopFeed());

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
  await until('the other process listens', async () => (await metric(other, 'felucca_feed_listening')) === 1);
  const head = await write(operator, row('across'));
  await reader.reaches(head, 3_000);
  await other.stop();
});

// Invariant L3.
test('a lost notification costs seconds, never an event', async () => {
  const other = await stage.startApi({ pollMs: 300 });
  const operator = await join();
  const reader = await FeedReader.open(other, operator);
  await until('the other process listens', async () => (await metric(other, 'felucca_feed_listening')) === 1);
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
