import { type ChildProcess, spawn } from 'node:child_process';
import { type Cluster, startCluster } from '@felucca/dev';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import {
  GVR,
  type HttpTransportOptions,
  type KubeRequest,
  LeaderElection,
  type LeaderElectionOptions,
} from '../src/runtime/index.ts';
import { log, openSession, type Session, series, until } from './runtime/session.ts';
import { TcpProxy } from './runtime/tcp-proxy.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ name: `runtime-leader-${process.pid}`, provider: 'bare' });
});
afterAll(() => cluster?.stop());

/** Short, in the same proportions as 15 s, 10 s and 2 s. */
const LEASE_MS = 3_000;

interface Candidate {
  session: Session;
  election: LeaderElection;
  terms: number[];
  lost: number;
  stop(): Promise<void>;
}
function candidate(
  name: string,
  identity: string,
  options: Partial<LeaderElectionOptions> & {
    server?: string;
    transport?: Partial<HttpTransportOptions>;
    onSend?: (request: KubeRequest) => void;
  } = {},
): Candidate {
  const { server, transport, onSend, ...rest } = options;
  const session = openSession(cluster, { ...transport, ...(server ? { server } : {}) });
  if (onSend) {
    const { transport: real } = session;
    const request = real.request.bind(real);
    real.request = (sent) => {
      onSend(sent);
      return request(sent);
    };
  }
  const stopping = new AbortController();
  const self: Candidate = {
    session,
    terms: [],
    lost: 0,
    election: new LeaderElection({
      client: session.client,
      metrics: session.metrics,
      log,
      namespace: 'default',
      name,
      identity,
      leaseDurationMs: LEASE_MS,
      onElected: ({ term }) => self.terms.push(term),
      onLost: () => self.lost++,
      ...rest,
    }),
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
  const running = self.election.run(stopping.signal);
  onTestFinished(self.stop);
  return self;
}
const leads = (who: Candidate, timeoutMs = 10_000): Promise<void> =>
  until('the leader', () => expect(who.election.isLeader).toBe(true), timeoutMs);

test('of two there is one leader, and it stays it', async () => {
  const first = candidate('stays', 'first');
  await leads(first);
  const second = candidate('stays', 'second');
  const untilMs = performance.now() + 2 * LEASE_MS;
  await until(
    'two lease durations to pass',
    async () => {
      expect([first.election.isLeader, second.election.isLeader]).toEqual([true, false]);
      if (performance.now() < untilMs) throw new Error('not yet');
    },
    3 * LEASE_MS,
  );
  expect(first.terms).toEqual([1]);
  expect(await series(first.session, 'leader_election_master_status')).toEqual([
    'leader_election_master_status{name="stays"} 1',
  ]);
  expect(await series(second.session, 'leader_election_master_status')).toEqual([
    'leader_election_master_status{name="stays"} 0',
  ]);
});

test('a leader that stops releases: the next one does not wait for the expiry, and has a higher term', async () => {
  const first = candidate('released', 'first');
  await leads(first);
  const second = candidate('released', 'second');
  await first.stop();
  const startedMs = performance.now();
  await leads(second, LEASE_MS);
  expect(performance.now() - startedMs).toBeLessThan(LEASE_MS / 2);
  // The release is a term of its own: what the first still had under way ends with it.
  expect(second.terms).toEqual([3]);
  expect(first.lost).toBe(0);
});

test('a leader that is killed is followed after its Lease expired', async () => {
  const child = await leaderProcess('killed');
  const second = candidate('killed', 'second');
  child.kill('SIGKILL');
  const startedMs = performance.now();
  await leads(second, 4 * LEASE_MS);
  expect(performance.now() - startedMs).toBeLessThan(2 * LEASE_MS);
  expect(second.terms).toEqual([2]);
});

test('a leader without connection gives up before another one may begin', async () => {
  const proxy = await TcpProxy.start(cluster.server);
  onTestFinished(() => proxy.stop());
  let lostAtMs = Number.POSITIVE_INFINITY;
  const first = candidate('cut', 'first', {
    server: proxy.url,
    onLost: () => (lostAtMs = performance.now()),
  });
  await leads(first);
  const second = candidate('cut', 'second');
  proxy.freeze();
  await leads(second, 4 * LEASE_MS);
  expect(lostAtMs).toBeLessThan(performance.now());
  expect(first.election.isLeader).toBe(false);
  expect(first.election.term).toBeUndefined();
});

test('an answer to the creation of the Lease that comes too late makes no leader', async () => {
  const proxy = await TcpProxy.start(cluster.server);
  onTestFinished(() => proxy.stop());
  const direct = openSession(cluster);
  const first = candidate('late', 'first', {
    server: proxy.url,
    // PINGs are late too; the connection is not what this is about.
    transport: { pingTimeoutMs: 60_000 },
    onSend: ({ method }) => {
      if (method === 'POST') proxy.delayAnswers(2 * LEASE_MS);
    },
  });
  await until('the Lease', async () =>
    expect(await direct.client.get(GVR.Lease, 'default', 'late')).toBeDefined(),
  );
  const second = candidate('late', 'second');
  await leads(second, 4 * LEASE_MS);
  const untilMs = performance.now() + 2 * LEASE_MS;
  await until('the late answer', () => expect(performance.now()).toBeGreaterThan(untilMs), 3 * LEASE_MS);
  expect([first.terms, second.terms]).toEqual([[], [2]]);
});

test('a Lease that somebody takes by hand is lost at once', async () => {
  const first = candidate('taken', 'first');
  await leads(first);
  await first.session.client.patch(GVR.Lease, 'default', 'taken', {
    spec: { holderIdentity: 'somebody', leaseTransitions: 7 },
  });
  await until('the loss', async () => expect(first.lost).toBe(1), LEASE_MS);
});

test('a label on the Lease is no reason to lose it', async () => {
  const first = candidate('labelled', 'first');
  await leads(first);
  await first.session.client.patch(GVR.Lease, 'default', 'labelled', {
    metadata: { labels: { looked: 'at' } },
  });
  await until(
    'the slow path',
    async () =>
      expect((await series(first.session, 'leader_election_slowpath_total')).join()).toContain(' 1'),
    LEASE_MS,
  );
  const renewed = await first.session.client.get(GVR.Lease, 'default', 'labelled');
  await until(
    'the next renewal',
    async () =>
      expect(
        (await first.session.client.get(GVR.Lease, 'default', 'labelled'))!.metadata.resourceVersion,
      ).not.toBe(renewed!.metadata.resourceVersion),
    LEASE_MS,
  );
  expect([first.lost, first.election.isLeader]).toEqual([0, true]);
});

/** A real process, so that it can really be killed; resolves when it leads. */
async function leaderProcess(lease: string): Promise<ChildProcess> {
  const script = new URL('./runtime/leader-process.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [script, cluster.kubeconfigPath, lease, String(LEASE_MS)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  await new Promise<void>((resolve, reject) => {
    child.stdout!.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`the leader exited with ${code}`)));
  });
  return child;
}
