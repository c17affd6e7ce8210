import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  BUCKETS,
  bucketDigests,
  bucketOf,
  bucketSet,
  differingBuckets,
  formatDigest,
  hasBucket,
  rowDigest,
} from './digest.ts';

const row = (key: string, rev = '1') => ({ kind: 'Instance' as const, key, rev, hash: 'h' });

test('a set of buckets holds what was put into it and nothing else', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 0, max: BUCKETS - 1 })), (buckets) => {
      const set = bucketSet(buckets);
      for (let bucket = 0; bucket < BUCKETS; bucket += 1)
        if (hasBucket(set, bucket) !== buckets.includes(bucket)) return false;
      return set.length === 64;
    }),
  );
});

test('the digests of all buckets make the digest, and a row that differs makes its bucket differ', () => {
  const rows = Array.from({ length: 500 }, (_, index) => row(`acme/${index}`));
  const digests = bucketDigests(rows);
  const all = digests.reduce((sum, digest) => sum ^ BigInt(`0x${digest}`), 0n);
  expect(formatDigest(all)).toBe(
    formatDigest(rows.reduce((sum, { kind, key, rev, hash }) => sum ^ rowDigest(kind, key, rev, hash), 0n)),
  );
  const other = rows.map((one, index) => (index === 7 ? row(one.key, '2') : one));
  expect(differingBuckets(digests, bucketDigests(other))).toBe(bucketSet([bucketOf('Instance', 'acme/7')]));
});
