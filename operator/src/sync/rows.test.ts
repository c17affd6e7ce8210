import { EMPTY_DIGEST, formatDigest, rowDigest } from '@felucca/contract';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { guardRow, type RowEntry, RowSet } from './rows.ts';

const hash = `sha256:${'0'.repeat(64)}`;
const entry = (key: string, rev: string): RowEntry => ({
  kind: 'Instance',
  key,
  epoch: 'e',
  seenRev: rev,
  feed: { id: key, rev, generation: 3, hash },
  good: { id: key, generation: 3, hash, rev, kid: 'k', sig: 's' },
});

describe('the row set', () => {
  // Invariant L6.
  it('keeps the digest of exactly the rows that are in the feed, in whatever order they came', () => {
    const change = fc.record({
      key: fc.constantFrom('a', 'b', 'c', 'd'),
      rev: fc.integer({ min: 1, max: 99 }).map(String),
      act: fc.constantFrom('set', 'leave', 'remove'),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 50 }), (changes) => {
        const rows = new RowSet();
        const model = new Map<string, string>();
        for (const { key, rev, act } of changes) {
          if (act === 'set') {
            rows.set(entry(key, rev));
            model.set(key, rev);
          } else {
            if (act === 'leave') rows.leaveFeed('Instance', key);
            else rows.remove('Instance', key);
            model.delete(key);
          }
        }
        let digest = 0n;
        for (const [key, rev] of model)
          digest ^= rowDigest({ kind: 'Instance', key, id: key, rev, generation: 3, hash });
        return rows.digest === formatDigest(digest) && rows.count === model.size;
      }),
    );
  });

  it('is empty when every row has left', () => {
    const rows = new RowSet();
    rows.set(entry('a', '1'));
    rows.leaveFeed('Instance', 'a');
    expect(rows.digest).toBe(EMPTY_DIGEST);
    expect(rows.get('Instance', 'a')?.good?.id).toBe('a');
  });
});

// Invariant L7.
describe('the row guard', () => {
  const known = entry('a', '10');
  // Invariant L34.
  it.each([
    ['a new key is applied', undefined, { rev: '1', id: 'x', generation: 1 }, 'e', 'apply'],
    ['an older revision is stale', known, { rev: '9', id: 'a', generation: 9 }, 'e', 'stale'],
    ['the same revision is compared again', known, { rev: '10', id: 'a', generation: 3 }, 'e', 'apply'],
    [
      'a lower generation of the same id is refused',
      known,
      { rev: '11', id: 'a', generation: 2 },
      'e',
      'generation',
    ],
    [
      'a lower generation of another id is a new resource',
      known,
      { rev: '11', id: 'b', generation: 1 },
      'e',
      'apply',
    ],
    ['another epoch starts over', known, { rev: '2', id: 'a', generation: 3 }, 'other', 'apply'],
    [
      'a lower generation is refused in every epoch: a restored database must not take the cluster back',
      known,
      { rev: '2', id: 'a', generation: 2 },
      'other',
      'generation',
    ],
    [
      'so is a tombstone that was taken back after the backup',
      known,
      { op: 'del', rev: '2', id: 'a', generation: 2 },
      'other',
      'generation',
    ],
    [
      'the end of what still has the name is not stale, although the next owner’s row is newer',
      { ...known, feed: { id: 'b', generation: 1, rev: '10', hash } },
      { op: 'del', rev: '9', id: 'a', generation: 4 },
      'e',
      'apply',
    ],
    [
      'nor is that of an owner that never came here: its order waits for its end',
      { ...known, feed: { id: 'b', generation: 1, rev: '10', hash } },
      { op: 'del', rev: '9', id: 'c', generation: 2 },
      'e',
      'apply',
    ],
    [
      'an older tombstone of what is wanted again is stale',
      known,
      { op: 'del', rev: '9', id: 'a', generation: 4 },
      'e',
      'stale',
    ],
    [
      'revisions compare exactly, also where a double does not',
      entry('a', '9007199254740993'),
      { rev: '9007199254740992', id: 'a', generation: 3 },
      'e',
      'stale',
    ],
    ['revisions compare as numbers', entry('a', '9'), { rev: '10', id: 'a', generation: 3 }, 'e', 'apply'],
  ] as const)('%s', (_, old, op, epoch, expected) => {
    expect(guardRow(old, { op: 'put', ...op }, epoch)).toBe(expected);
  });
});
