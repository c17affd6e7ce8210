import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { KubeClient } from './client.ts';
import { LeaderElection } from './leader-election.ts';
import { ManualClock } from './manual-clock.ts';

const LEASE_MS = 15_000;
const RENEW_DEADLINE_MS = 10_000;

/** An API server that takes this long to create the Lease, and answers nothing after it. */
function elected(createTakesMs: number) {
  const clock = new ManualClock();
  const told: string[] = [];
  const client = {
    get: async () => undefined,
    create: async (_gvr: unknown, _namespace: unknown, lease: object) => {
      await clock.sleep(createTakesMs);
      return lease;
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
