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

const row = (key: string, rev = '1') => ({
  kind: 'Instance' as const,
  key,
  id: 'i',
  rev,
  generation: 1,
  hash: 'h',
});

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
  expect(formatDigest(all)).toBe(formatDigest(rows.reduce((sum, one) => sum ^ rowDigest(one), 0n)));
  const other = rows.map((one, index) => (index === 7 ? row(one.key, '2') : one));
  expect(differingBuckets(digests, bucketDigests(other))).toBe(bucketSet([bucketOf('Instance', 'acme/7')]));
});

test.each([
  ['kind', 'Tenant'],
  ['key', 'acme/other'],
  ['id', 'another'],
  ['rev', '2'],
  ['generation', 2],
  ['hash', 'g'],
])('a row with another %s has another digest', (field, value) => {
  const one = row('acme/db');
  expect(rowDigest({ ...one, [field]: value })).not.toBe(rowDigest(one));
});
