import { type Cluster, startCluster } from '@felucca/dev';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { GVR, type Lease, Shards } from '../src/runtime/index.ts';
import { log, openSession, until } from './runtime/session.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ name: `runtime-shards-${process.pid}`, provider: 'bare' });
});
afterAll(() => cluster?.stop());

const LEASE_MS = 3_000;

interface Member {
  shards: Shards;
  held(): number[];
  /** Of each shard that it began with: since when nobody else led, by performance.now(). */
  unheldSinceMs: number[];
  lost: number;
  /** Gives everything back. */
  stop(): Promise<void>;
  /** As kill -9 does: nothing is given back or renewed. */
  die(): void;
}
function member(name: string, identity: string, count: number): Member {
  const session = openSession(cluster);
  const request = session.transport.request.bind(session.transport);
  let dead = false;
  session.transport.request = (sent) => (dead ? new Promise(() => undefined) : request(sent));
  const stopping = new AbortController();
  const self: Member = {
    lost: 0,
    unheldSinceMs: [],
    shards: new Shards({
      client: session.client,
      metrics: session.metrics,
      log,
      namespace: 'default',
      name,
      identity,
      leaseDurationMs: LEASE_MS,
      count,
      prepare: async (_, { unheldSinceMs }) => void self.unheldSinceMs.push(unheldSinceMs),
      onBegin: () => undefined,
      onLost: () => self.lost++,
    }),
    held: () =>
      Array.from({ length: count }, (_, shard) => shard).filter((shard) => self.shards.holds(shard)),
    stop: async () => {
      stopping.abort();
      if (!dead) await running;
    },
    die: () => {
      dead = true;
      stopping.abort();
    },
  };
  const running = self.shards.lookAhead().then(() => self.shards.run(stopping.signal));
  onTestFinished(self.stop);
  return self;
}
/** Every shard is held, by one member. */
const divided = (members: Member[], sizes: number[], timeoutMs = 30_000) =>
  until(
    `the shards to be divided as ${sizes}`,
    () => expect(members.map((one) => one.held().length)).toEqual(sizes),
    timeoutMs,
  );

test('one operator has all shards, a second gets its half, and has all when the first is gone', async () => {
  const a = member('pair', 'a', 4);
  await divided([a], [4]);
  const b = member('pair', 'b', 4);
  const untilMs = performance.now() + 2 * LEASE_MS;
  await divided([a, b], [2, 2]);
  // What is there once does not wander, and nobody takes a second time what was fairly divided.
  expect(a.held()).toContain(0);
  await until('some renewals', () => {
    expect([...a.held(), ...b.held()].toSorted()).toEqual([0, 1, 2, 3]);
    expect(performance.now()).toBeGreaterThan(untilMs);
  });
  a.die();
  await until('b to have all', () => expect(b.held()).toEqual([0, 1, 2, 3]), 10 * LEASE_MS);
  expect(b.lost).toBe(0);
});

test('a shard is given away only when the work on it has ended', async () => {
  const a = member('work', 'a', 2);
  await divided([a], [2]);
  let finish = (): void => undefined;
  let ran = false;
  const work = a.shards.within(1, () => new Promise<void>((resolve) => (finish = resolve)));
  const b = member('work', 'b', 2);
  await until('a to hand it over', () => expect(a.held()).toEqual([0]));
  const handedMs = performance.now();
  await until('some looks of b', () => expect(performance.now()).toBeGreaterThan(handedMs + 2 * LEASE_MS));
  expect(await a.shards.within(1, async () => (ran = true))).toBeUndefined();
  // Still a's Lease: its last write must be let through.
  expect(a.shards.fence(1).stamp()).toMatch(/^work-1-of-2\/\d+$/);
  expect(b.held()).toEqual([]);
  finish();
  await work;
  await divided([a, b], [1, 1]);
  expect(ran).toBe(false);
});

test('nobody has led since the first look, unless it was with another number of shards', async () => {
  const first = member('again', 'a', 1);
  await divided([first], [1]);
  expect(first.unheldSinceMs).toEqual([Number.POSITIVE_INFINITY]);
  await first.stop();
  const lookMs = performance.now();
  const second = member('again', 'b', 1);
  await divided([second], [1]);
  expect(second.unheldSinceMs[0]).toBeGreaterThan(lookMs);
  expect(second.unheldSinceMs[0]).toBeLessThan(performance.now());
  await second.stop();
  const two = member('again', 'c', 2);
  await divided([two], [2]);
  // Its Lease has been free all the time.
  const back = member('again', 'd', 1);
  await until('some looks', () => expect(performance.now()).toBeGreaterThan(lookMs + 2 * LEASE_MS));
  const leftMs = performance.now();
  await two.stop();
  await divided([back], [1]);
  expect(back.unheldSinceMs[0]).toBeGreaterThanOrEqual(leftMs);
});

test('two numbers of shards never work at the same time, and the later begins when the earlier is gone', async () => {
  const old = [member('count', 'a', 2), member('count', 'b', 2)];
  await divided(old, [1, 1]);
  const next = member('count', 'c', 3);
  const untilMs = performance.now() + 2 * LEASE_MS;
  await until('some looks', () => {
    expect(next.held()).toEqual([]);
    expect(performance.now()).toBeGreaterThan(untilMs);
  });
  await old[0]!.stop();
  await until('the other to have all', () => expect(old[1]!.held()).toEqual([0, 1]));
  expect(next.held()).toEqual([]);
  // One that dies is waited for, and its Leases end: what it still has under way carries an old term.
  const before = await leases('count');
  old[1]!.die();
  await divided([next], [3], 10 * LEASE_MS);
  const after = await leases('count');
  for (const name of ['count-0-of-2', 'count-1-of-2']) {
    expect(after[name]).toMatchObject({ holderIdentity: '' });
    expect(after[name]!.leaseTransitions).toBeGreaterThan(before[name]!.leaseTransitions!);
  }
  // Terms go on where the others ended: the control plane takes no lower one.
  expect(after['count-0-of-3']!.leaseTransitions).toBeGreaterThan(before['count-0-of-2']!.leaseTransitions!);
});

test('two numbers of shards that begin at the same moment: one of them works', async () => {
  const members = [member('race', 'a', 2), member('race', 'b', 3)];
  await until(
    'one of them to work',
    () => expect(members.some((one) => one.held().length > 0)).toBe(true),
    30_000,
  );
  const untilMs = performance.now() + 2 * LEASE_MS;
  await until('some looks', () => {
    expect(members.filter((one) => one.held().length > 0)).toHaveLength(1);
    expect(performance.now()).toBeGreaterThan(untilMs);
  });
});

async function leases(name: string): Promise<Record<string, NonNullable<Lease['spec']>>> {
  const { client } = openSession(cluster);
  const all = await client.list<Lease>(GVR.Lease, 'default', { labelSelector: `felucca.dev/lease=${name}` });
  return Object.fromEntries(all.map(({ metadata, spec }) => [metadata.name, spec!]));
}
