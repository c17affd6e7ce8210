import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleProgram, type Cluster, definitionsEstablished, NODE_FLAGS } from '@felucca/dev';

const root = fileURLToPath(new URL('../..', import.meta.url));
const bench = join(root, 'bench');
const peer = join(bench, 'peers/controller-runtime');

export const AUDIT_POLICY = join(bench, 'reconcile/audit-policy.yaml');
/** Reconciles at the same time, the same for both. */
const WORKERS = 16;
const NAMESPACES = 10;
const TENANTS = Array.from({ length: NAMESPACES }, (_, i) => `bench-${i}`);

/** An operator, and what the driver has to know to measure it. */
export interface Contestant {
  name: 'felucca' | 'controller-runtime';
  /** Definitions and whatever else must be there before the first object; the operator does not run yet. */
  prepare(cluster: Cluster): Promise<void>;
  /** Objects that only the operator makes ready, such as tenants; it runs meanwhile. */
  ready?(cluster: Cluster): Promise<void>;
  command(kubeconfig: string, binaries: string): Promise<string>;
  /** Flags of the driver. */
  flags: readonly string[];
}

const read = (path: string): string => readFileSync(path, 'utf8');
const apply = (cluster: Cluster, text: string): Promise<string> =>
  cluster.kubectl(['apply', '--server-side', '-f', '-'], { stdin: text });

export const felucca: Contestant = {
  name: 'felucca',
  async prepare(cluster) {
    for (const kind of ['blueprints', 'dataplanes', 'instances', 'tenants'])
      await apply(cluster, read(join(root, `crds/felucca.dev_${kind}.yaml`)));
    await definitionsEstablished(cluster);
    await cluster.kubectl(['create', 'namespace', 'felucca-system']);
    await apply(cluster, read(join(bench, 'reconcile/blueprint.yaml')));
    const spec = { quota: { pods: 100_000, cpu: '1000', memory: '1000Gi' } };
    for (const name of TENANTS)
      await apply(
        cluster,
        JSON.stringify({ apiVersion: 'felucca.dev/v1alpha1', kind: 'Tenant', metadata: { name }, spec }),
      );
  },
  async ready(cluster) {
    await cluster.kubectl(['wait', '--for=condition=Ready', 'tenants', '--all', '--timeout=60s']);
  },
  async command(kubeconfig) {
    const environment = `-u FELUCCA_API_URL KUBECONFIG=${kubeconfig} WORKERS=${WORKERS} METRICS_HOST=127.0.0.1 METRICS_PORT=36080`;
    const program = await bundleProgram('operator', { folder: join(root, 'dist/bench-operator') });
    return ['env', environment, process.execPath, ...NODE_FLAGS.operator, program].join(' ');
  },
  flags: [
    '-group=felucca.dev',
    '-namespace=tenant-bench-%d',
    '-child-selector=app.kubernetes.io/managed-by=felucca',
    `-template=${join(bench, 'reconcile/instance.json')}`,
    '-update={"spec":{"parameters":{"rev":"2"}}}',
    '-metrics-url=http://127.0.0.1:36080/metrics',
  ],
};

export const controllerRuntime: Contestant = {
  name: 'controller-runtime',
  async prepare(cluster) {
    await apply(cluster, read(join(peer, 'config/crd.yaml')));
    await definitionsEstablished(cluster);
  },
  command: async (kubeconfig, binaries) =>
    `${join(binaries, 'operator')} --kubeconfig=${kubeconfig} --max-concurrent-reconciles=${WORKERS}`,
  flags: [
    '-group=peer.dev',
    `-template=${join(peer, 'config/instance-r0.json')}`,
    '-update={"spec":{"config":{"REV":"2"}}}',
    '-metrics-url=http://127.0.0.1:36080/metrics',
  ],
};

export const CEILING_FLAGS = [`-children=${join(peer, 'config/children.json')}`];
export const PEER_MODULE = peer;

/** A kubeconfig for the account that the audit log watches. */
export async function operatorKubeconfig(cluster: Cluster): Promise<string> {
  await apply(cluster, read(join(bench, 'reconcile/rights.yaml')));
  const token = await cluster.kubectl([
    ...['create', 'token', 'operator', '-n', 'bench-operator', '--duration=24h'],
  ]);
  const folder = join(cluster.stateDir, 'bench');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'operator.kubeconfig');
  const caData = Buffer.from(cluster.caPem).toString('base64');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server: cluster.server, 'certificate-authority-data': caData } }],
    users: [{ name: 'u', user: { token: token.trim() } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}
