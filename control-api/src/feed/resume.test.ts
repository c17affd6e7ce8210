import {
  bucketDigests,
  bucketOf,
  bucketSet,
  differingBuckets,
  EMPTY_DIGEST,
  formatDigest,
  hasBucket,
  NO_BUCKETS,
  rowDigest,
} from '@felucca/contract';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decideResume, type HeadPosition, type OperatorPosition } from './resume.ts';

const SOME = bucketSet([1, 200]);
const A = 'a'.repeat(32);
const B = 'b'.repeat(32);
const head: HeadPosition = { epoch: 'e1', head: 10n, compacted: 4n, digest: A };
const at = (cursor: bigint, digest = A, epoch = 'e1'): OperatorPosition => ({ epoch, cursor, digest });

describe('the resume table', () => {
  test.each<[string, OperatorPosition, ReturnType<typeof decideResume>]>([
    ['a first contact gets a snapshot', at(0n, '', ''), { mode: 'reset', reason: 'NEW', newEpoch: false }],
    ['the head with an equal digest gets nothing', at(10n), { mode: 'resume', from: 10n }],
    ['the head with an unknown digest gets nothing', at(10n, ''), { mode: 'resume', from: 10n }],
    ['behind the head gets a delta', at(7n, B), { mode: 'resume', from: 7n }],
    ['exactly at the compaction point still gets a delta', at(4n, B), { mode: 'resume', from: 4n }],
    [
      'below the compaction point gets a snapshot',
      at(3n),
      { mode: 'reset', reason: 'COMPACTED', newEpoch: false },
    ],
    [
      'another epoch with an equal digest goes on at the head',
      at(99n, A, 'e0'),
      { mode: 'resume', from: 10n },
    ],
    [
      'another epoch with an equal digest gets the tombstones that are left, if it can',
      { ...at(99n, A, 'e0'), canVerify: true },
      { mode: 'resume', from: 10n, repair: NO_BUCKETS },
    ],
    [
      'another epoch with another digest gets a snapshot',
      at(10n, B, 'e0'),
      { mode: 'reset', reason: 'EPOCH', newEpoch: false },
    ],
    [
      'another epoch with an unknown digest gets a snapshot',
      at(10n, '', 'e0'),
      { mode: 'reset', reason: 'EPOCH', newEpoch: false },
    ],
    [
      'a cursor from the future ends the epoch',
      at(11n),
      { mode: 'reset', reason: 'CURSOR_AHEAD', newEpoch: true },
    ],
    [
      'the head with another digest gets a snapshot',
      at(10n, B),
      { mode: 'reset', reason: 'DIVERGED', newEpoch: false },
    ],
    [
      'the head with another digest is verified by who can do that',
      { ...at(10n, B), canVerify: true },
      { mode: 'verify' },
    ],
    [
      'who has found what differs gets it beside the tail',
      { ...at(9n, B), canVerify: true, repair: SOME },
      { mode: 'resume', from: 9n, repair: SOME },
    ],
    [
      'a repair does not stand in for what is compacted',
      { ...at(3n, B), canVerify: true, repair: SOME },
      { mode: 'reset', reason: 'COMPACTED', newEpoch: false },
    ],
  ])('%s', (_name, operator, decision) => {
    expect(decideResume(operator, head)).toEqual(decision);
  });
});

describe('against a model of server and operator', () => {
  const KEYS = ['t/a', 't/b', 't/c', 't/d'];
  type Row = { rev: bigint; hash: string; deleted: boolean };
  const digested = (key: string, { rev, hash }: Pick<Row, 'rev' | 'hash'>) => ({
    kind: 'Instance' as const,
    key,
    id: 'i',
    rev: String(rev),
    generation: 1,
    hash,
  });
  const digestOfRows = (rows: Map<string, Row>): string => {
    let digest = 0n;
    for (const [key, row] of rows) if (!row.deleted) digest ^= rowDigest(digested(key, row));
    return formatDigest(digest);
  };
  const feed = (rows: Map<string, Row>) =>
    [...rows].flatMap(([key, { rev, hash, deleted }]) => (deleted ? [] : [digested(key, { rev, hash })]));
  const live = (rows: Map<string, Row>): Record<string, string> =>
    Object.fromEntries(
      [...rows]
        .filter(([, row]) => !row.deleted)
        .map(([key, row]) => [key, `${row.rev}:${row.hash}`] as const)
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  const action = fc.oneof(
    fc.record({
      do: fc.constant('put' as const),
      key: fc.constantFrom(...KEYS),
      hash: fc.string({ maxLength: 8 }),
    }),
    fc.record({ do: fc.constant('delete' as const), key: fc.constantFrom(...KEYS) }),
    fc.constant({ do: 'sync' as const }),
    fc.constant({ do: 'compact' as const }),
    fc.constant({ do: 'epoch' as const }),
    fc.constant({ do: 'restoreBackup' as const }),
    fc.constant({ do: 'loseRow' as const }),
  );

  // Invariant L5.
  test.each([false, true])(
    'an operator that follows the decision holds exactly the live rows, whatever happened before (verifies: %s)',
    (canVerify) => {
      fc.assert(
        fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
          let server = new Map<string, Row>();
          let counter = { epoch: 'e0', head: 0n, compacted: 0n };
          let backup = { server: new Map(server), counter: { ...counter } };
          let epochs = 0;
          const operator = { epoch: '', cursor: 0n, rows: new Map<string, Row>() };
          const write = (key: string, hash: string, deleted: boolean): void => {
            counter.head += 1n;
            server.set(key, { rev: counter.head, hash, deleted });
          };
          const sync = (repair?: string): void => {
            const decision = decideResume(
              { ...operator, digest: digestOfRows(operator.rows), canVerify, ...(repair ? { repair } : {}) },
              { ...counter, digest: digestOfRows(server) },
            );
            if (decision.mode === 'verify') {
              sync(differingBuckets(bucketDigests(feed(operator.rows)), bucketDigests(feed(server))));
              return;
            }
            if (decision.mode === 'reset') {
              if (decision.newEpoch) counter.epoch = `e${++epochs}`;
              operator.rows = new Map([...server].filter(([, row]) => !row.deleted));
            } else {
              for (const [key, row] of server) if (row.rev > decision.from) operator.rows.set(key, row);
              const isRepaired = (key: string): boolean =>
                decision.repair !== undefined && hasBucket(decision.repair, bucketOf('Instance', key));
              for (const key of KEYS.filter(isRepaired)) {
                const row = server.get(key);
                if (row?.deleted === false) operator.rows.set(key, row);
                else operator.rows.delete(key);
              }
            }
            operator.epoch = counter.epoch;
            operator.cursor = counter.head;
          };
          for (const step of actions) {
            if (step.do === 'put') write(step.key, step.hash, false);
            else if (step.do === 'delete') {
              if (server.get(step.key)?.deleted === false) write(step.key, '', true);
            } else if (step.do === 'sync') sync();
            else if (step.do === 'compact') {
              backup = { server: new Map(server), counter: { ...counter } };
              for (const [key, row] of server) {
                if (!row.deleted) continue;
                server.delete(key);
                if (row.rev > counter.compacted) counter.compacted = row.rev;
              }
            } else if (step.do === 'epoch') counter.epoch = `e${++epochs}`;
            else if (step.do === 'restoreBackup') {
              // A point-in-time restore: the start of the API sees another timeline and mints an epoch.
              server = new Map(backup.server);
              counter = { ...backup.counter, epoch: `e${++epochs}` };
            } else {
              const [first] = operator.rows.keys();
              if (first !== undefined && operator.cursor === counter.head) operator.rows.delete(first);
            }
          }
          sync();
          // A row lost while behind the head is not visible to a delta; the bookmark's digest finds it.
          if (digestOfRows(operator.rows) !== digestOfRows(server)) sync();
          expect(live(operator.rows)).toEqual(live(server));
        }),
        { numRuns: 2_000 },
      );
    },
  );

  test('nothing held gives the empty digest', () => {
    expect(digestOfRows(new Map())).toBe(EMPTY_DIGEST);
  });
});
