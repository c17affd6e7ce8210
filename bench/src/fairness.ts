import { writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { cpus } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '@felucca/dev';
import { watchCollection } from './cluster-watch.ts';
import { felucca, operatorKubeconfig } from './contestants.ts';
import { whileItRuns, withCluster } from './measure.ts';
import { ms, quantile, table } from './table.ts';

/**
 * `node bench/src/fairness.ts [instances]`: one tenant orders so many Instances at once, and others one each while
 * that lasts. What counts is how long the others wait.
 */
const BURST = Number(process.argv[2] ?? 1000);
const OTHERS = 9;
const APART_MS = 1_000;
const IN_FLIGHT = 32;
const DEADLINE_MS = 600_000;

const say = (line: string) => process.stderr.write(`${line}\n`);
const instance = (name: string) => ({
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Instance',
  metadata: { name },
  spec: { blueprintRef: { name: 'app', version: '1.0.0' }, parameters: { replicas: 0 } },
});

/** Creates one Instance; resolves when the API server has answered. */
function creator(cluster: Cluster): (namespace: string, name: string) => Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT + OTHERS, ca: cluster.caPem });
  return (namespace, name) =>
    new Promise((resolve, reject) => {
      const body = JSON.stringify(instance(name));
      const headers = {
        authorization: `Bearer ${cluster.adminToken}`,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      };
      const url = new URL(`/apis/felucca.dev/v1alpha1/namespaces/${namespace}/instances`, cluster.server);
      const call = request(url, { agent, method: 'POST', headers }, (response) => {
        response.resume();
        if (response.statusCode === 201) response.once('end', () => resolve());
        else reject(new Error(`create ${namespace}/${name}: HTTP ${response.statusCode}`));
      });
      call.once('error', reject);
      call.end(body);
    });
}

interface Waited {
  createdMs: number;
  childrenMs?: number;
  readyMs?: number;
}

async function measure(cluster: Cluster): Promise<{ others: Waited[]; burstMs: number }> {
  const create = creator(cluster);
  const others = new Map<string, Waited>();
  const seenChildren = new Map<string, number>();
  let ready = 0;
  const stops = [
    watchCollection(cluster, '/apis/felucca.dev/v1alpha1/instances', ({ atMs, object }) => {
      const is = object.status?.conditions?.some(
        ({ type, status }: { type: string; status: string }) => type === 'Ready' && status === 'True',
      );
      if (!is) return;
      const other = others.get(object.metadata.name);
      if (other) other.readyMs ??= atMs;
      else ready += 1;
    }),
    ...['/api/v1/configmaps', '/api/v1/services', '/apis/apps/v1/deployments'].map((path) =>
      watchCollection(cluster, path, ({ atMs, type, object }) => {
        const name: string | undefined = object.metadata?.labels?.['felucca.dev/instance'];
        const other = type === 'ADDED' && name ? others.get(name) : undefined;
        if (!other || !name) return;
        const seen = (seenChildren.get(name) ?? 0) + 1;
        seenChildren.set(name, seen);
        if (seen === 3) other.childrenMs = atMs;
      }),
    ),
  ];
  const startMs = performance.now();
  let next = 0;
  const burst = Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      while (next < BURST) await create('tenant-bench-0', `burst-${next++}`);
    }),
  );
  for (let i = 1; i <= OTHERS; i++) {
    await delay(APART_MS);
    const other: Waited = { createdMs: 0 };
    others.set(`single-${i}`, other);
    await create(`tenant-bench-${i}`, `single-${i}`);
    other.createdMs = performance.now();
  }
  await burst;
  const readyAtOthersEnd = ready;
  const endMs = startMs + DEADLINE_MS;
  while (ready < BURST || [...others.values()].some(({ readyMs }) => readyMs === undefined)) {
    if (performance.now() > endMs) throw new Error(`only ${ready} of ${BURST} Instances are Ready`);
    await delay(20);
  }
  for (const stop of stops) stop();
  if (readyAtOthersEnd >= BURST) throw new Error('the burst was over before the others came; order more');
  return { others: [...others.values()], burstMs: performance.now() - startMs };
}

await withCluster('kwok', async (cluster) => {
  const kubeconfig = await operatorKubeconfig(cluster);
  await felucca.prepare(cluster);
  await whileItRuns(await felucca.command(kubeconfig, ''), cluster, async () => {
    await felucca.ready?.(cluster);
    say(`one tenant orders ${BURST} Instances, ${OTHERS} others one each meanwhile`);
    const { others, burstMs } = await measure(cluster);
    const row = (what: string, of: (other: Waited) => number | undefined) => {
      const waited = others.map((other) => (of(other) ?? Number.NaN) - other.createdMs);
      return [what, ms(quantile(waited, 0.5)), ms(Math.max(...waited))];
    };
    const output = [
      `${cpus().length} cores, one tenant's burst of ${BURST} Instances takes ${(burstMs / 1000).toFixed(1)} s; ${OTHERS} other tenants order one each while it lasts, ${new Date().toISOString().slice(0, 10)}`,
      '',
      table(
        ['from the answer to the order to', 'p50', 'longest'],
        [row('children', ({ childrenMs }) => childrenMs), row('Ready', ({ readyMs }) => readyMs)],
      ),
    ].join('\n');
    process.stdout.write(`${output}\n`);
    writeFileSync(new URL('../results-fairness.md', import.meta.url), `# make bench\n\n${output}\n`);
  });
});
