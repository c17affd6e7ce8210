import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  type Cluster,
  definitionsEstablished,
  type SupervisedChild,
  startChild,
  startCluster,
  waitUntil,
} from '../src/index.ts';
import { chartPath, helm, NAMESPACE } from './helm.ts';
import { type HoldingProxy, startHoldingProxy } from './holding-proxy.ts';

// Real operators under the chart's account and policies, each with the token of a pod of its own: who leads, who
// follows, and what becomes of the writes of one that no longer leads.
const main = join(import.meta.dirname, '../../operator/src/main.ts');
const INSTANCES = 24;
let cluster: Cluster;
let proxy: HoldingProxy;
let running: SupervisedChild[] = [];

beforeAll(async () => {
  cluster = await startCluster({ name: `test-fencing-${process.pid}`, provider: 'bare' });
  proxy = await startHoldingProxy(cluster.server);
  const install = ['install', 'felucca', chartPath('felucca-operator'), '--namespace', NAMESPACE];
  await helm(
    [...install, '--create-namespace', '--wait=hookOnly', '--set', 'deployment.enabled=false'],
    cluster.kubeconfigPath,
  );
  await definitionsEstablished(cluster);
  const nodes = [
    { id: 'config', manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { size: '${params.size}' } } },
  ];
  const parameters = { type: 'object', properties: { size: { type: 'string', default: '1' } } };
  await applied(
    felucca('Tenant', { name: 'acme' }, {}),
    felucca('Blueprint', { name: 'web-1-0-0' }, { name: 'web', version: '1.0.0', parameters, nodes }),
  );
});
afterEach(async () => {
  // They give their lease back, so that the next test need not wait for it.
  await Promise.all(running.map((child) => child.stop()));
  running = [];
});
afterAll(async () => {
  await proxy?.stop();
  await cluster?.stop();
});

const felucca = (kind: string, metadata: object, spec: object) => ({
  apiVersion: 'felucca.dev/v1alpha1',
  kind,
  metadata,
  spec,
});
const applied = (...items: object[]) =>
  cluster.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], {
    stdin: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
  });
const orders = (size: string) =>
  applied(
    ...Array.from({ length: INSTANCES }, (_, index) =>
      felucca(
        'Instance',
        // One has the name of the subresource: its writes carry their term in another place than those of its status.
        { name: index === 1 ? 'status' : `i${index}`, namespace: 'tenant-acme' },
        { blueprintRef: { name: 'web', version: '1.0.0' }, parameters: { size } },
      ),
    ),
  );

async function startOperator(
  pod: string,
  options: { leaseMs?: number; server?: string; shards?: number } = {},
) {
  const object = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: pod, namespace: NAMESPACE },
    spec: { serviceAccountName: 'felucca-operator', containers: [{ name: 'operator', image: 'none' }] },
  };
  await applied(object);
  const bound = ['--bound-object-kind=Pod', `--bound-object-name=${pod}`];
  const token = await cluster.kubectl(['create', 'token', 'felucca-operator', '-n', NAMESPACE, ...bound]);
  const kubeconfig = join(cluster.stateDir, `${pod}.kubeconfig`);
  const admin = readFileSync(cluster.kubeconfigPath, 'utf8');
  const config = JSON.parse(admin.replaceAll(cluster.server, options.server ?? cluster.server));
  for (const user of config.users) user.user = { token: token.trim() };
  writeFileSync(kubeconfig, JSON.stringify(config), { mode: 0o600 });
  const operator = startChild({
    name: pod,
    command: process.execPath,
    args: [main],
    logPath: join(cluster.stateDir, `${pod}.log`),
    env: {
      PATH: process.env['PATH'] ?? '',
      KUBECONFIG: kubeconfig,
      POD_NAME: pod,
      POD_NAMESPACE: NAMESPACE,
      METRICS_HOST: '127.0.0.1',
      METRICS_PORT: '0',
      LEASE_DURATION_MS: String(options.leaseMs ?? 15_000),
      SHARDS: String(options.shards ?? 1),
    },
  });
  running.push(operator);
  return operator;
}

const soon = <T>(what: string, check: () => Promise<T>, timeoutMs = 60_000) =>
  waitUntil(what, check, { timeoutMs });
const holderOf = (lease: string): Promise<string> =>
  cluster.kubectl(['get', 'lease', lease, '-n', NAMESPACE, '-o', 'jsonpath={.spec.holderIdentity}']).then(
    (holder) => holder.split('_')[0]!,
    () => '',
  );
const leads = (pod: string) =>
  soon(`${pod} to lead`, async () => (await holderOf('felucca-operator')) === pod);
const standsBy = (operator: SupervisedChild) =>
  soon(`${operator.name} to stand by`, async () =>
    readFileSync(operator.logPath, 'utf8').includes('operator runs'),
  );
/** Name → resource version of everything that the operators write. */
async function versions(): Promise<Record<string, string>> {
  const kinds = 'configmaps,instances,tenants,blueprints,resourcequotas,rolebindings';
  const rows = '{range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\\n"}{end}';
  const text = await cluster.kubectl(['get', kinds, '-n', 'tenant-acme', '-o', `jsonpath=${rows}`]);
  return Object.fromEntries(
    text
      .trim()
      .split('\n')
      .map((row) => row.split(' ')),
  );
}
const settled = (size: string) =>
  soon(`all children to have size ${size}, and their Instances to be ready`, async () => {
    const sizes = await cluster.kubectl([
      ...[
        'get',
        'configmaps',
        '-n',
        'tenant-acme',
        '-l',
        'felucca.dev/instance',
        '-o',
        'jsonpath={.items[*].data.size}',
      ],
    ]);
    expect(sizes.split(' ')).toEqual(Array(INSTANCES).fill(size));
    const current = '{range .items[*]}{.status.observedGeneration}={.metadata.generation} {end}';
    const generations = await cluster.kubectl([
      'get',
      'instances',
      '-n',
      'tenant-acme',
      '-o',
      `jsonpath=${current}`,
    ]);
    for (const pair of generations.trim().split(' ')) expect(pair).toMatch(/^(\d+)=\1$/);
    return true;
  });
async function denied(): Promise<number> {
  const metrics = await cluster.kubectl(['get', '--raw', '/metrics']);
  const rows = metrics.matchAll(/^apiserver_validating_admission_policy_check_total\{(.*)\} (\d+)$/gm);
  let sum = 0;
  for (const [, labels = '', count] of rows)
    if (/enforcement_action="deny"/.test(labels) && /policy="felucca-fencing"/.test(labels))
      sum += Number(count);
  return sum;
}

test('writes of a paused leader that arrive after its successor began are refused, all of them', async () => {
  const zombie = await startOperator('zombie', { leaseMs: 3_000, server: proxy.url });
  await leads('zombie');
  await soon('the namespace', () =>
    cluster.kubectl(['get', 'rolebinding', 'felucca-operator', '-n', 'tenant-acme']),
  );
  await orders('1');
  await settled('1');
  const heir = await startOperator('heir', { leaseMs: 3_000 });
  await standsBy(heir);
  // In the middle of a burst: as many applies as there are workers are on their way and nobody knows it.
  proxy.hold();
  await orders('2');
  let before = -1;
  await soon('the burst to be on its way', async () => {
    const { heldBytes } = proxy;
    const isStill = heldBytes > 0 && heldBytes === before;
    before = heldBytes;
    await new Promise((resolve) => setTimeout(resolve, 100));
    return isStill;
  });
  zombie.pause();
  await orders('3');
  await leads('heir');
  await settled('3');
  const [known, refusals] = [await versions(), await denied()];
  proxy.deliver();
  await soon('the late writes to be refused', async () => (await denied()) >= refusals + 8);
  zombie.resume();
  await soon('the zombie to end', async () => zombie.lastExit?.code === 1);
  expect(readFileSync(zombie.logPath, 'utf8')).toContain('the Lease is lost');
  expect(await versions()).toEqual(known);
});

test('a change of leader alone writes nothing, and takes at most 20 s after a kill, at most 2 s after a clean stop', async () => {
  const [first, second] = [await startOperator('first'), await startOperator('second')];
  await Promise.all([standsBy(first), standsBy(second)]);
  const firstLeads = await Promise.race([leads('first').then(() => true), leads('second').then(() => false)]);
  const [leader, heir] = firstLeads ? [first, second] : [second, first];
  await orders('4');
  await settled('4');
  const known = await versions();
  const killedMs = performance.now();
  await leader.kill();
  await leads(heir.name);
  await worksSince(killedMs, 'kill', 20_000);
  const { 'Instance/i0': _, 'ConfigMap/i0-config': __, ...others } = known;
  expect(await versions()).toMatchObject(others);

  const standby = await startOperator('third');
  await standsBy(standby);
  const stoppedMs = performance.now();
  await heir.stop();
  await worksSince(stoppedMs, 'clean stop', 2_000);
});

test('with two shards each Instance is worked on by one of two operators, and by the other when that is killed', async () => {
  const options = { leaseMs: 3_000, shards: 2 };
  const operators = [await startOperator('left', options), await startOperator('right', options)];
  const leases = ['felucca-operator-0-of-2', 'felucca-operator-1-of-2'];
  const [, second] = await soon('each to hold a shard', async () => {
    const holders = await Promise.all(leases.map(holderOf));
    return holders.toSorted().join() === 'left,right' ? holders : undefined;
  });
  await orders('5');
  await settled('5');
  for (const { uid, stamp } of await stamps()) {
    const shard = Number.parseInt(uid.slice(0, 8), 16) % 2;
    expect(stamp).toMatch(new RegExp(`^${leases[shard]}/\\d+$`));
  }
  await operators.find(({ name }) => name === second)!.kill();
  await orders('6');
  await settled('6');
  const holders = await Promise.all(leases.map(holderOf));
  expect(new Set(holders).size).toBe(1);
  expect(holders).not.toContain(second);
});

/** Whose each Instance is: its UID, and the term by which its child was written last. */
async function stamps(): Promise<{ uid: string; stamp: string }[]> {
  const row = '{.metadata.labels.felucca\\.dev/instance-uid} {.metadata.annotations.felucca\\.dev/term}';
  const text = await cluster.kubectl([
    ...['get', 'configmaps', '-n', 'tenant-acme', '-l', 'felucca.dev/instance'],
    ...['-o', `jsonpath={range .items[*]}${row}{"\\n"}{end}`],
  ]);
  const rows = text.trim().split('\n');
  expect(rows).toHaveLength(INSTANCES);
  return rows.map((line) => {
    const [uid = '', stamp = ''] = line.split(' ');
    return { uid, stamp };
  });
}

/** A change that is made now is acted upon by whoever leads. */
async function worksSince(sinceMs: number, what: string, limitMs: number): Promise<void> {
  const size = String(Math.round(sinceMs));
  await cluster.kubectl([
    ...['patch', 'instance', 'i0', '-n', 'tenant-acme', '--type=merge'],
    ...['-p', JSON.stringify({ spec: { parameters: { size } } })],
  ]);
  await soon('the change to be made', async () => {
    const now = await cluster.kubectl([
      ...['get', 'configmap', 'i0-config', '-n', 'tenant-acme', '-o', 'jsonpath={.data.size}'],
    ]);
    return now === size;
  });
  const tookMs = performance.now() - sinceMs;
  console.info(`takeover after a ${what}: ${Math.round(tookMs)} ms`);
  expect(tookMs).toBeLessThan(limitMs);
}
