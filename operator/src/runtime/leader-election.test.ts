import type { KubeObject } from '@felucca/contract';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { KubeClient } from './client.ts';
import { LeaderElection } from './leader-election.ts';
import { ManualClock } from './manual-clock.ts';

const LEASE_MS = 15_000;
const RENEW_DEADLINE_MS = 10_000;

/** An API server that takes this long to create the Lease, and answers nothing after it. */
function elected(createTakesMs: number, highestTerm = 0, get = async (): Promise<unknown> => undefined) {
  const clock = new ManualClock();
  const told: string[] = [];
  const client = {
    get,
    create: async (_gvr: unknown, _namespace: unknown, lease: KubeObject) => {
      await clock.sleep(createTakesMs);
      return { ...lease, metadata: { ...lease.metadata, resourceVersion: '1' } };
    },
    replace: () => Promise.reject(new Error('no answer')),
  } as unknown as KubeClient;
  const election = new LeaderElection({
    client,
    log: pino({ level: 'silent' }),
    clock,
    random: () => 0,
    namespace: 'default',
    name: 'operator',
    identity: 'one',
    leaseDurationMs: LEASE_MS,
    highestTerm: () => highestTerm,
    onElected: () => told.push(`elected at ${clock.nowMs()}`),
    onLost: () => told.push(`lost at ${clock.nowMs()}`),
  });
  void election.run(new AbortController().signal);
  return { clock, election, told };
}

test('the first term counts from when the Lease was asked for, not from when the answer came', async () => {
  const { clock, election, told } = elected(4_000);
  await clock.advance(2 * LEASE_MS);
  expect(told).toEqual(['elected at 4000', `lost at ${RENEW_DEADLINE_MS}`]);
  expect(election.isLeader).toBe(false);
});

test('who got the Lease only after the time to renew it has passed does not lead', async () => {
  const { clock, told } = elected(RENEW_DEADLINE_MS);
  await clock.advance(RENEW_DEADLINE_MS + 1_000);
  expect(told).toEqual([]);
});

test('a leader that could not renew writes nothing from the deadline on, whoever noticed it', async () => {
  const { clock, election } = elected(0);
  await clock.advance(RENEW_DEADLINE_MS - 1);
  expect([election.stamp(), election.term]).toEqual(['operator/1', 1]);
  // As after SIGSTOP, or with a blocked event loop: time has passed and no timer has run.
  clock.skip(1);
  expect(election.isLeader).toBe(true);
  expect(() => election.stamp()).toThrow(/another operator may hold the Lease operator by now/);
  expect(election.term).toBeUndefined();
});

test('a Lease that somebody deleted does not begin again below the terms that objects carry', async () => {
  const { clock, election } = elected(0, 41);
  await clock.advance(1);
  expect(election.term).toBe(42);
});

test('a Lease that is deleted is not taken before its holder must have noticed', async () => {
  const held = {
    metadata: { resourceVersion: '1' },
    spec: { holderIdentity: 'other', leaseDurationSeconds: 15 },
  };
  let lease: object | undefined = held;
  const { clock, told } = elected(0, 0, async () => lease);
  await clock.advance(5_000);
  lease = undefined;
  const deletedMs = clock.nowMs();
  await clock.advance(LEASE_MS);
  expect(told).toEqual([]);
  await clock.advance(5_000);
  expect(told).toHaveLength(1);
  expect(Number(told[0]?.split(' ').at(-1))).toBeGreaterThanOrEqual(deletedMs + LEASE_MS);
});
