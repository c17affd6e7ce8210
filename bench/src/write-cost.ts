import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Cluster, definitionsEstablished, kubeApi, startCluster } from '@felucca/dev';

/**
 * `node bench/src/write-cost.ts [count]`: what each write of a create costs the API server, ours and the peer's. Each kind
 * of write is made many times in a row on an idle control plane; CPU from /proc, in milliseconds a write. Nobody watches.
 */
const COUNT = Number(process.argv[2] ?? 500);
const IN_FLIGHT = 8;
const NAMESPACE = 'bench';
const UID = '5bb81a25-0095-447b-80b2-703bc1fedf07';
const bench = join(import.meta.dirname, '..');

type Body = Record<string, unknown>;

const configOf = (name: string): string =>
  readFileSync(join(bench, 'peers/controller-runtime/config', name), 'utf8');
const PEERS_INSTANCE = JSON.parse(configOf('instance-r0.json')) as Body;

interface Write {
  method: 'POST' | 'PATCH';
  path: string;
  body: Body;
  type?: string;
}
const MERGE = 'application/merge-patch+json';
const APPLY = 'application/apply-patch+yaml';

const OURS = `/apis/felucca.dev/v1alpha1/namespaces/${NAMESPACE}/instances`;
const PEERS = `/apis/peer.dev/v1alpha1/namespaces/${NAMESPACE}/instances`;
const inventory = (name: string): Body[] =>
  ['ConfigMap', 'Service', 'Deployment'].map((kind) => ({
    node: kind.toLowerCase(),
    apiVersion: kind === 'Deployment' ? 'apps/v1' : 'v1',
    kind,
    name: `${name}-${kind.toLowerCase()}`,
    wave: 0,
    onDelete: 'Delete',
  }));
const ready = {
  type: 'Ready',
  status: 'True',
  reason: 'AllChildrenReady',
  message: '3 children are ready',
  lastTransitionTime: '2026-01-01T00:00:00Z',
  observedGeneration: 1,
};
const ours = (name: string, more: Body): Body => ({
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Instance',
  metadata: { name, namespace: NAMESPACE },
  ...more,
});

/** One after the other: later ones need what earlier ones made. */
const WRITES: readonly [string, (name: string) => Write][] = [
  [
    'Felucca: Instance, as its user creates it',
    (name) => ({
      method: 'POST',
      path: OURS,
      body: ours(name, {
        spec: { blueprintRef: { name: 'app', version: '1.0.0' }, parameters: { replicas: 0 } },
      }),
    }),
  ],
  [
    'Felucca: finalizer and inventory, apply',
    (name) => ({
      method: 'PATCH',
      path: `${OURS}/${name}?fieldManager=felucca-reconciler&force=true`,
      type: APPLY,
      body: ours(name, {
        metadata: {
          name,
          finalizers: ['felucca.dev/finalizer'],
          annotations: {
            'felucca.dev/inventory': JSON.stringify(inventory(name)),
            'felucca.dev/term': 'felucca-operator/1',
          },
        },
      }),
    }),
  ],
  [
    'Felucca: status, apply',
    (name) => ({
      method: 'PATCH',
      path: `${OURS}/${name}/status?fieldManager=felucca-status&force=true`,
      type: APPLY,
      body: ours(name, {
        status: {
          observedGeneration: 1,
          conditions: [ready],
          inventory: inventory(name).map((entry) => ({ ...entry, uid: UID })),
          inventoryRevision: 1,
          term: 'felucca-operator/1',
        },
      }),
    }),
  ],
  [
    'peer: Instance, as its user creates it',
    (name) => ({
      method: 'POST',
      path: PEERS,
      body: {
        ...PEERS_INSTANCE,
        metadata: { name, namespace: NAMESPACE },
      },
    }),
  ],
  [
    'peer: finalizer, merge patch',
    (name) => ({
      method: 'PATCH',
      path: `${PEERS}/${name}`,
      type: MERGE,
      body: { metadata: { finalizers: ['peer.dev/finalizer'] } },
    }),
  ],
  [
    'peer: status, merge patch',
    (name) => ({
      method: 'PATCH',
      path: `${PEERS}/${name}/status`,
      type: MERGE,
      body: { status: { observedGeneration: 1, conditions: [ready] } },
    }),
  ],
  ...children().map(({ kind, path, body }): [string, (name: string) => Write] => [
    `both: ${kind}, apply`,
    (name) => ({
      method: 'PATCH',
      path: `${named(path, name)}?fieldManager=bench&force=true`,
      type: APPLY,
      body: JSON.parse(named(JSON.stringify(body), name)) as Body,
    }),
  ]),
];

function children(): { kind: string; path: string; body: Body }[] {
  return (JSON.parse(configOf('children.json')) as { path: string; body: Body }[]).map((child) => ({
    ...child,
    kind: String(child.body['kind']),
  }));
}
const named = (text: string, name: string): string =>
  text.replaceAll('{{name}}', name).replaceAll('{{namespace}}', NAMESPACE);

async function prepare(cluster: Cluster): Promise<void> {
  for (const path of ['../crds/felucca.dev_instances.yaml', 'peers/controller-runtime/config/crd.yaml'])
    await cluster.kubectl(['apply', '--server-side', '-f', join(bench, path)]);
  await definitionsEstablished(cluster);
  await cluster.kubectl(['create', 'namespace', NAMESPACE]);
}

const cluster = await startCluster({ name: 'bench-write-cost', provider: 'bare', durableWrites: true });
const api = kubeApi(cluster.server, cluster.caPem, cluster.adminToken ?? '');
try {
  await prepare(cluster);
  const pid = cluster.processes['kube-apiserver']?.identity()?.pid;
  for (const [what, write] of WRITES) {
    const beforeMs = cpuMs(pid);
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < COUNT) await send(write(`x-${next++}`));
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, work));
    const each = ((cpuMs(pid) - beforeMs) / COUNT).toFixed(1);
    process.stdout.write(`| ${what.padEnd(42)} | ${each.padStart(5)} ms |\n`);
  }
} finally {
  api.close();
  await cluster.stop();
}

/** Of a process so far; Linux counts in hundredths of a second. */
function cpuMs(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function send({ method, path, body, type }: Write): Promise<void> {
  const answer = await api.call(method, path, body, type);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.body.slice(0, 500)}`);
}
