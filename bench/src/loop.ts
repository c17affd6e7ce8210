import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { type Stack, startStack } from '@felucca/dev/stack';
import { watchCollection } from './cluster-watch.ts';
import { ms, quantile, table } from './table.ts';

/** `node bench/src/loop.ts [unloaded orders] [burst orders]`: latency of each hop, and reconcile throughput. */
const UNLOADED = Number(process.argv[2] ?? 100);
const BURST = Number(process.argv[3] ?? 300);
const DEADLINE_MS = 300_000;
/** The default quota of a tenant is 100 pods; this leaves room for what rolls. */
const ORDERS_PER_TENANT = 60;
const TENANTS = Math.ceil((UNLOADED + BURST) / ORDERS_PER_TENANT);
const tenants = Array.from({ length: TENANTS }, (_, i) => `bench-${i}`);

interface Track {
  /** Path of the operation, whose stamps tell when the operator's acknowledgement was back in the API. */
  operation: string;
  acceptedMs: number;
  knownMs?: number;
  appliedMs?: number;
  childrenMs?: number;
  readyMs?: number;
}

const say = (line: string) => process.stderr.write(`${line}\n`);

async function call(stack: Stack, method: string, path: string, body?: unknown): Promise<unknown> {
  const response = await fetch(stack.apiUrl + path, {
    method,
    headers: { authorization: `Bearer ${stack.platformKey}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

async function until(what: string, check: () => boolean): Promise<void> {
  const end = performance.now() + DEADLINE_MS;
  while (!check()) {
    if (performance.now() > end) throw new Error(`${what}: not within ${DEADLINE_MS} ms`);
    await delay(20);
  }
}

const isReady = (tracks: Map<string, Track>): boolean =>
  [...tracks.values()].every((track) => track.readyMs !== undefined);

/** Watches Instances and Deployments of the bench and notes when each order reaches each state. */
function follow(stack: Stack, tracks: Map<string, Track>): () => void {
  const stops = [
    watchCollection(stack.cluster, '/apis/felucca.dev/v1alpha1/instances', ({ atMs, type, object }) => {
      const track = tracks.get(object.metadata?.name);
      if (!track || type === 'DELETED') return;
      track.appliedMs ??= atMs;
      const ready = object.status?.conditions?.find(
        (condition: { type: string }) => condition.type === 'Ready',
      );
      if (ready?.status === 'True') track.readyMs ??= atMs;
    }),
    watchCollection(stack.cluster, '/apis/apps/v1/deployments', ({ atMs, object }) => {
      const track = tracks.get(object.metadata?.labels?.['felucca.dev/instance']);
      if (track) track.childrenMs ??= atMs;
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

let ordered = 0;
async function order(stack: Stack, tracks: Map<string, Track>, name: string): Promise<void> {
  const track: Track = { operation: '', acceptedMs: 0 };
  const tenant = tenants[ordered++ % TENANTS];
  tracks.set(name, track);
  const accepted = (await call(stack, 'POST', `/v1/organizations/${tenant}/instances`, {
    name,
    dataPlane: stack.dataPlane.name,
    blueprint: 'web',
    version: '1.0.0',
    parameters: { message: name, replicas: 1 },
  })) as { operation: { id: string } };
  track.operation = `/v1/organizations/${tenant}/operations/${accepted.operation.id}`;
  // The answer is the acknowledged commit, so latency counts from here; a watch may even be earlier.
  track.acceptedMs = performance.now();
}

/** Reads the API's own stamps, afterwards: asking meanwhile would disturb what is measured. */
async function readAcknowledgements(stack: Stack, tracks: readonly Track[]): Promise<void> {
  for (const track of tracks) {
    const stamps = (await call(stack, 'GET', track.operation)) as {
      acceptedAt: string;
      deliveredAt?: string;
    };
    if (stamps.deliveredAt)
      track.knownMs = track.acceptedMs + Date.parse(stamps.deliveredAt) - Date.parse(stamps.acceptedAt);
  }
}

/** Upper bound of the histogram bucket that quantile q of all samples is in, seconds; NaN without samples. */
async function bucketOf(stack: Stack, histogram: string, q: number): Promise<number> {
  const text = await (await fetch(`${stack.apiUrl}/metrics`)).text();
  const pattern = new RegExp(`^${histogram}_bucket\\{le="([^"]+)"[^}]*\\} (\\d+)$`, 'gm');
  const buckets = [...text.matchAll(pattern)].map(([, le, count]) => [
    le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le),
    Number(count),
  ]) as [number, number][];
  const total = buckets.at(-1)?.[1] ?? 0;
  return buckets.find(([, count]) => count >= q * total)?.[0] ?? Number.NaN;
}

const stack = await startStack({ name: 'bench', persistent: false, provider: 'kwok', onProgress: say });
try {
  for (const name of tenants) await call(stack, 'POST', '/v1/organizations', { name });
  const tracks = new Map<string, Track>();
  const unfollow = follow(stack, tracks);
  for (const name of tenants) await order(stack, tracks, `warm-up-${name}`);
  await until('the warm-up is Ready', () => isReady(tracks));
  tracks.clear();

  say(`unloaded: ${UNLOADED} orders, one at a time`);
  for (let i = 0; i < UNLOADED; i++) {
    await order(stack, tracks, `calm-${i}`);
    await until(`calm-${i} is Ready`, () => tracks.get(`calm-${i}`)?.readyMs !== undefined);
  }
  const calm = [...tracks.values()];
  tracks.clear();

  say(`burst: ${BURST} orders, 16 at a time`);
  const started = performance.now();
  const names = Array.from({ length: BURST }, (_, i) => `burst-${i}`);
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (let name = names.shift(); name; name = names.shift()) await order(stack, tracks, name);
    }),
  );
  const acceptedAll = performance.now();
  await until('the burst is Ready', () => isReady(tracks));
  const done = performance.now();
  unfollow();

  const row = (label: string, of: Track[], at: (track: Track) => number | undefined) => {
    const samples = of.map((track) => Math.max(0, (at(track) ?? Number.NaN) - track.acceptedMs));
    return [label, ms(quantile(samples, 0.5)), ms(quantile(samples, 0.99))];
  };
  const burst = [...tracks.values()];
  await readAcknowledgements(stack, calm);
  const delivery = async (q: number) =>
    `≤ ${ms((await bucketOf(stack, 'felucca_feed_delivery_seconds', q)) * 1000)}`;
  const delivered = [
    "handed to the operator's socket (all orders)",
    await delivery(0.5),
    await delivery(0.99),
  ];
  const output = [
    `${cpus().length} cores, provider ${stack.provider}, ${new Date().toISOString().slice(0, 10)}`,
    '',
    table(
      ['from the acknowledged commit to', 'p50', 'p99'],
      [
        delivered,
        row(`CustomResource applied (${UNLOADED} single orders)`, calm, (track) => track.appliedMs),
        row('Deployment created', calm, (track) => track.childrenMs),
        row('Instance Ready', calm, (track) => track.readyMs),
        row('its delivery known to the API', calm, (track) => track.knownMs),
        row(`CustomResource applied (burst of ${BURST})`, burst, (track) => track.appliedMs),
        row('Instance Ready (burst)', burst, (track) => track.readyMs),
      ],
    ),
    '',
    table(
      ['burst', 'value'],
      [
        ['orders accepted per second', (BURST / ((acceptedAll - started) / 1000)).toFixed(0)],
        ['Instances Ready per second, order to Ready', (BURST / ((done - started) / 1000)).toFixed(1)],
      ],
    ),
  ].join('\n');
  process.stdout.write(`${output}\n`);
  writeFileSync(new URL('../results.md', import.meta.url), `# make bench\n\n${output}\n`);
} finally {
  await stack.stop();
}
