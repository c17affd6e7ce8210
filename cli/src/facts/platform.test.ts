import { expect, test } from 'vitest';
import { seenValue } from '../kube/errors.ts';
import { countByStamps, type Lease, leasesOfShards } from './platform.ts';

const lease = (name: string, holderIdentity: string, renewTime: string): Lease => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name },
  spec: { holderIdentity, renewTime },
});
const EARLY = '2026-01-01T00:00:00.000000Z';
const LATE = '2026-01-01T00:01:00.000000Z';
const ofOne = lease('felucca-operator', '', LATE);
const ofTwo = ['', ''].map((holder, shard) => lease(`felucca-operator-${shard}-of-2`, holder, EARLY));

test.each<[string, Lease[], (string | undefined)[]]>([
  ['there is none', [], [undefined]],
  ['others have some', [lease('felucca-operator-webhook', 'x', LATE)], [undefined]],
  ['it was never sharded', [ofOne], ['felucca-operator']],
  [
    'the number of shards was changed, and the new one is held',
    [ofOne, lease('felucca-operator-1-of-3', 'x', EARLY)],
    [undefined, 'felucca-operator-1-of-3', undefined],
  ],
  [
    'nobody leads any more: the number that was led last',
    [...ofTwo, lease('felucca-operator-0-of-3', '', LATE)],
    ['felucca-operator-0-of-3', undefined, undefined],
  ],
  ['sharding ended', [...ofTwo, lease('felucca-operator', 'x', EARLY)], ['felucca-operator']],
])('the Leases that count, when %s', (_, leases, names) => {
  expect(leasesOfShards(leases).map((seen) => seenValue(seen)?.metadata.name)).toEqual(names);
});

test.each<[string, (string | undefined)[], number]>([
  ['nothing', [undefined, undefined], 1],
  ['a leader without shards', ['felucca-operator/4', undefined], 1],
  [
    'the link, and an Instance before the number was changed',
    ['felucca-operator-0-of-3/12', 'felucca-operator-1-of-2/9'],
    3,
  ],
  [
    'an Instance, and the link before the number was changed',
    ['felucca-operator-0-of-3/9', 'felucca-operator-1-of-2/12'],
    2,
  ],
])(
  'without a look at the Leases, the number of shards is that of the newest term: %s',
  (_, stamps, count) => {
    expect(countByStamps(stamps)).toBe(count);
  },
);
