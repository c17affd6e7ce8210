import { expect, test } from 'vitest';
import { leaseName, shardCountOf, shardOf } from './shards.ts';

test('UIDs are divided evenly, each has one shard, and with one shard it is the first', () => {
  const counts = [0, 0, 0];
  for (let i = 0; i < 3_000; i++) counts[shardOf(crypto.randomUUID(), 3)]! += 1;
  for (const count of counts) expect(count).toBeGreaterThan(850);
  expect(shardOf(crypto.randomUUID(), 1)).toBe(0);
  // Never changed: it would move Instances while both operators work.
  expect(shardOf('0000000b-0000-4000-8000-000000000000', 4)).toBe(3);
});

test.each([
  ['operator', 1],
  ['operator-0-of-2', 2],
  ['operator-11-of-64', 64],
  ['operator-0-of-', undefined],
  ['operator-0-of-2-x', undefined],
  ['operator-webhook', undefined],
  ['other-0-of-2', undefined],
])('the Lease %s tells that there are %s shards', (lease, count) => {
  expect(shardCountOf('operator', lease)).toBe(count);
});

test('the name of a Lease tells the number of shards that it was made of', () => {
  for (const count of [1, 2, 64]) expect(shardCountOf('a.b', leaseName('a.b', count - 1, count))).toBe(count);
});
