import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { ApiError } from './api-error.ts';
import type { KubeClient } from './client.ts';
import { LeaderElection, type LeaderElectionOptions } from './leader-election.ts';
import { ManualClock } from './manual-clock.ts';

const LEASE_MS = 15_000;
type Lease = { metadata: { resourceVersion?: string }; spec: Record<string, unknown> };

/** The one Lease, kept as the API server does: a write on an older version is a conflict. */
function leaseStore(first?: Record<string, unknown>) {
  let version = 1;
  let lease: Lease | undefined = first && { metadata: { resourceVersion: '1' }, spec: first };
  const write = async (_gvr: unknown, _namespace: unknown, next: Lease): Promise<Lease> => {
    if (lease && next.metadata.resourceVersion !== lease.metadata.resourceVersion)
      throw new ApiError(409, 'Conflict', 'the Lease was written by somebody else');
    version += 1;
    lease = { ...next, metadata: { ...next.metadata, resourceVersion: String(version) } };
    return structuredClone(lease);
  };
  const client = {
    get: async () => structuredClone(lease),
    create: write,
    replace: async (gvr: unknown, namespace: unknown, next: Lease) => {
      if (!lease) throw new ApiError(404, 'NotFound', 'there is no such Lease');
      return write(gvr, namespace, next);
    },
  } as unknown as KubeClient;
  return {
    client,
    renewBy: (spec: Record<string, unknown>) => write(0, 0, { ...lease!, spec }),
    delete: () => (lease = undefined),
    now: () => structuredClone(lease!),
    restore: (backup: Lease) => {
      version = Number(backup.metadata.resourceVersion);
      lease = backup;
    },
    spec: () => lease?.spec,
  };
}

function candidate(
  clock: ManualClock,
  client: KubeClient,
  identity: string,
  options: Partial<LeaderElectionOptions> = {},
) {
  const terms: number[] = [];
  const unheldSinceMs: number[] = [];
  const election = new LeaderElection({
    client,
    log: pino({ level: 'silent' }),
    clock,
    random: () => 0,
    namespace: 'default',
    name: 'operator',
    identity,
    leaseDurationMs: LEASE_MS,
    onElected: (leadership) => {
      terms.push(leadership.term);
      unheldSinceMs.push(leadership.unheldSinceMs);
    },
    onLost: () => undefined,
    ...options,
  });
  const stopping = new AbortController();
  onTestFinished(() => stopping.abort());
  return { terms, unheldSinceMs, stopping, run: () => election.run(stopping.signal) };
}

test.each([LEASE_MS, LEASE_MS + 1])(
  'to renew for %i ms with a Lease of 15,000 ms is refused',
  (renewDeadlineMs) => {
    const { client } = leaseStore();
    expect(() => candidate(new ManualClock(), client, 'one', { renewDeadlineMs })).toThrow(
      /two leaders overlap/,
    );
  },
);

test('each election has a higher term, also after a release and of the same process', async () => {
  const clock = new ManualClock();
  const store = leaseStore();
  const all: number[] = [];
  for (const identity of ['one', 'one', 'two']) {
    const { terms, stopping, run } = candidate(clock, store.client, identity);
    const ended = run();
    await clock.advance(1_000);
    stopping.abort();
    await clock.advance(1_000);
    await ended;
    all.push(...terms);
  }
  // A release is a term too: what the leader still has under way ends with it.
  expect(all).toEqual([1, 3, 5]);
  expect(store.spec()).toMatchObject({ holderIdentity: '', leaseTransitions: 6 });
});

test('a Lease that its holder renews is left to it; one that it does not is taken after its time', async () => {
  const clock = new ManualClock();
  const held = { holderIdentity: 'other', leaseDurationSeconds: 15, leaseTransitions: 4 };
  const store = leaseStore(held);
  const { terms, run } = candidate(clock, store.client, 'one');
  void run();
  for (let renewals = 0; renewals < 5; renewals += 1) {
    await clock.advance(LEASE_MS - 5_000);
    expect(terms).toEqual([]);
    await store.renewBy(held);
  }
  await clock.advance(LEASE_MS - 1_000);
  expect(terms).toEqual([]);
  await clock.advance(5_000);
  expect(terms).toEqual([5]);
});

test('a leader whose Lease is deleted leads no longer, and who follows has a higher term although none shows it', async () => {
  const clock = new ManualClock();
  const store = leaseStore({ holderIdentity: '', leaseTransitions: 7 });
  const lost: number[] = [];
  const first = candidate(clock, store.client, 'one', { onLost: () => lost.push(clock.nowMs()) });
  const second = candidate(clock, store.client, 'two');
  void first.run();
  await clock.advance(100);
  void second.run();
  await clock.advance(1_000);
  expect([first.terms, second.terms]).toEqual([[8], []]);
  store.delete();
  await clock.advance(3_000);
  expect(lost).toHaveLength(1);
  await clock.advance(LEASE_MS);
  expect(second.terms).toEqual([9]);
});

// Invariant L44.
test('a leader that finds its Lease older than what it wrote ends, as etcd was restored; who follows begins at once', async () => {
  const clock = new ManualClock();
  const store = leaseStore();
  const lost: string[] = [];
  const first = candidate(clock, store.client, 'one', { onLost: (why) => lost.push(why) });
  void first.run();
  await clock.advance(3_000);
  const backup = store.now();
  await clock.advance(4_000);
  expect(lost).toEqual([]);
  store.restore(backup);
  await clock.advance(3_000);
  expect(lost).toEqual([expect.stringMatching(/^the Lease operator is older .*: etcd was restored/)]);
  expect(store.spec()).toMatchObject({ holderIdentity: '', leaseTransitions: 2 });
});

test('a Lease of another, from before the leader was elected, is left to that one when etcd was restored', async () => {
  const clock = new ManualClock();
  const store = leaseStore({ holderIdentity: 'other', leaseDurationSeconds: 15, leaseTransitions: 4 });
  const backup = store.now();
  const lost: string[] = [];
  const first = candidate(clock, store.client, 'one', { onLost: (why) => lost.push(why) });
  void first.run();
  await clock.advance(2 * LEASE_MS);
  expect(first.terms).toEqual([5]);
  store.restore(backup);
  await clock.advance(3_000);
  expect(lost).toEqual([expect.stringMatching(/etcd was restored/)]);
  expect(store.spec()).toEqual(backup.spec);
});

test('who finds no Lease although objects show its terms leaves time to whoever held it', async () => {
  const clock = new ManualClock();
  const { terms, run } = candidate(clock, leaseStore().client, 'one', {
    wasHeld: () => true,
    highestTerm: () => 7,
  });
  void run();
  await clock.advance(LEASE_MS - 1_000);
  expect(terms).toEqual([]);
  await clock.advance(2_000);
  expect(terms).toEqual([8]);
});

const FREE = { holderIdentity: '', leaseTransitions: 7 };
test.each([
  ['given back before it was found, and not touched since: from then on', FREE, undefined, 3_000],
  ['held and given back meanwhile: only since that was seen', FREE, FREE, 10_000],
  [
    'of a leader that died: nobody knows, as its last write may still arrive',
    { ...FREE, holderIdentity: 'dead', leaseDurationSeconds: 20 },
    undefined,
    Number.POSITIVE_INFINITY,
  ],
])('a Lease %s, nobody has led', async (_, first, meanwhile, sinceMs) => {
  const clock = new ManualClock();
  const store = leaseStore(first);
  const lease = (await store.client.get({} as never, '', '')) as never;
  await clock.advance(10_000);
  if (meanwhile) await store.renewBy(meanwhile);
  const { unheldSinceMs, run } = candidate(clock, store.client, 'one', { found: { lease, atMs: 3_000 } });
  void run();
  await clock.advance(30_000);
  expect(unheldSinceMs).toEqual([sinceMs]);
});

test('of a Lease that there is not yet nobody knows since when', async () => {
  const clock = new ManualClock();
  const { unheldSinceMs, run } = candidate(clock, leaseStore().client, 'one');
  void run();
  await clock.advance(1_000);
  expect(unheldSinceMs).toEqual([Number.POSITIVE_INFINITY]);
});
