import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import {
  type Cluster,
  definitionsEstablished,
  type SupervisedChild,
  startChild,
  startCluster,
  waitUntil,
} from '../src/index.ts';
import { chartPath, helm, NAMESPACE } from './helm.ts';

// The real operator, as a process, with nothing but the rights and policies of its chart.
const repository = join(import.meta.dirname, '../..');
const example = (name: string): string =>
  readFileSync(join(repository, `crds/examples/valid/${name}.yaml`), 'utf8');
let cluster: Cluster;
let operator: SupervisedChild;
beforeAll(async () => {
  cluster = await startCluster({ name: `test-chart-operator-${process.pid}`, provider: 'bare' });
  await helm(
    [
      ...[
        'install',
        'felucca',
        chartPath('felucca-operator'),
        '--namespace',
        NAMESPACE,
        '--create-namespace',
      ],
      ...['--wait=hookOnly', '--set', 'deployment.enabled=false'],
    ],
    cluster.kubeconfigPath,
  );
  await definitionsEstablished(cluster);
  const token = (await cluster.kubectl(['create', 'token', 'felucca-operator', '-n', NAMESPACE])).trim();
  const kubeconfig = join(cluster.stateDir, 'operator.kubeconfig');
  writeFileSync(kubeconfig, stringify(kubeconfigOf(token)), { mode: 0o600 });
  operator = startChild({
    name: 'operator',
    command: process.execPath,
    args: [join(repository, 'operator/src/main.ts')],
    logPath: join(cluster.stateDir, 'operator.log'),
    env: {
      PATH: process.env['PATH'] ?? '',
      KUBECONFIG: kubeconfig,
      POD_NAME: 'operator',
      POD_NAMESPACE: NAMESPACE,
      METRICS_HOST: '127.0.0.1',
      METRICS_PORT: '0',
    },
  });
});
afterAll(async () => {
  await operator?.stop();
  await cluster?.stop();
});

const applied = (yaml: string) => cluster.kubectl(['apply', '--server-side', '-f', '-'], { stdin: yaml });
const get = (path: string, ...what: string[]) => cluster.kubectl(['get', ...what, '-o', `jsonpath=${path}`]);
const soon = (what: string, check: () => Promise<string>) =>
  waitUntil(what, check, { timeoutMs: 30_000, children: [operator] });

test('the chart gives enough for a whole life of a Tenant and its Instances, and nothing is forbidden', async () => {
  for (const name of ['tenant', 'blueprint-web', 'blueprint-postgres']) await applied(example(name));
  await soon('the namespace, bound to the operator', () =>
    get('{.roleRef.name}', 'rolebinding', 'felucca-operator', '-n', 'tenant-acme'),
  );
  await soon('the Tenant to be ready', async () => {
    const status = await get('{.status.conditions[?(@.type=="Ready")]}', 'tenant', 'acme');
    if (!status.includes('"status":"True"')) throw new Error(status);
    return status;
  });
  await applied(example('instance-web'));
  await applied(example('instance-postgres'));
  const made = ['deployment', 'statefulset', 'service', 'secret'] as const;
  for (const kind of made)
    await soon(`a ${kind} of the Instances`, () =>
      get('{.items[*].metadata.name}', kind, '-n', 'tenant-acme', '-l', 'felucca.dev/instance'),
    );
  await soon('the lease', () => get('{.spec.holderIdentity}', 'lease', 'felucca-operator', '-n', NAMESPACE));

  await cluster.kubectl(['delete', 'instances', '--all', '-n', 'tenant-acme', '--timeout=60s']);
  await cluster.kubectl(['delete', 'tenant', 'acme', '--timeout=60s']);
  await expect(get('{.metadata.name}', 'namespace', 'tenant-acme')).rejects.toThrow(/not found/);
  const refusals = readFileSync(operator.logPath, 'utf8')
    .split('\n')
    .filter((line) => /forbidden|denied/i.test(line))
    .map((line) => line.slice(0, 400));
  expect(refusals).toEqual([]);
});

function kubeconfigOf(token: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'chart',
    clusters: [
      {
        name: 'chart',
        cluster: {
          server: cluster.server,
          'certificate-authority-data': Buffer.from(cluster.caPem).toString('base64'),
        },
      },
    ],
    users: [{ name: 'chart', user: { token } }],
    contexts: [{ name: 'chart', context: { cluster: 'chart', user: 'chart' } }],
  };
}
