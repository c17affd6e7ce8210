import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chooseProvider } from '../src/cluster/choose-provider.ts';
import { buildImages } from '../src/images/index.ts';
import { type Cluster, startCluster, waitUntil } from '../src/index.ts';
import { Api } from '../src/stack/api.ts';
import { publishExamples } from '../src/stack/blueprints.ts';
import { newPlatformKey } from '../src/stack/state.ts';
import { type ChartName, chartPath, helm, NAMESPACE, setFlags } from './helm.ts';

// Both charts as somebody installs them: everything in pods, nothing of it a process of ours.
const provider = await chooseProvider('auto');
if (provider !== 'nodes')
  process.stderr.write(`SKIPPED: charts in real pods need provider nodes, this machine has ${provider}\n`);

const PASSWORD = 'of the database';
const platformKey = newPlatformKey();
let cluster: Cluster;

beforeAll(async () => {
  if (provider !== 'nodes') return;
  cluster = await startCluster({ name: `helm-${process.pid}`, provider });
  const images = await buildImages(['control-api', 'operator', 'web', 'postgres']);
  for (const { archive } of Object.values(images)) await cluster.loadImage(archive);
  await cluster.kubectl(['create', 'namespace', NAMESPACE]);
  for (const object of [database, databaseService, ...secrets()])
    await cluster.kubectl(['apply', '-n', NAMESPACE, '-f', '-'], { stdin: JSON.stringify(object) });
  await cluster.kubectl(['wait', '-n', NAMESPACE, '--for=condition=Ready', 'pod/database', '--timeout=90s'], {
    timeoutMs: 100_000,
  });
});
afterAll(() => cluster?.stop());

test.skipIf(provider !== 'nodes')(
  'both charts install, upgrade under load and uninstall, and what tenants ordered outlives them',
  async () => {
    await chart('felucca-control-plane', 'install');
    const address = await cluster.kubectl([
      ...['get', 'service', 'felucca-control-api', '-n', NAMESPACE],
      ...['-o', 'jsonpath={.spec.clusterIP}'],
    ]);
    const api = new Api(`http://${address}`, platformKey);
    await publishExamples(api);
    await api.ok('POST', '/v1/organizations', { name: 'acme' });
    await api.ok('POST', '/v1/data-planes', { name: 'here' });
    const { token } = await api.ok('POST', '/v1/data-planes/here/join-tokens', {});
    const link = [
      `controlPlane.url=http://felucca-control-api.${NAMESPACE}.svc`,
      `joinToken=${token}`,
      'image.tag=dev',
    ];
    await chart('felucca-operator', 'install', ...link);
    await order(api, 'first');

    // Replicas come and go while orders are made; every acknowledged one becomes Ready.
    const orders = (async () => {
      for (let i = 0; i < 5; i++) await order(api, `during-${i}`);
    })();
    await Promise.all([
      orders,
      chart('felucca-control-plane', 'upgrade', 'replicas=2'),
      chart('felucca-operator', 'upgrade', ...link, 'replicas=2'),
    ]);
    expect(await available('felucca-control-api')).toBe('2');
    expect(await available('felucca-operator')).toBe('2');
    await order(api, 'after');

    await helm(['uninstall', 'felucca-operator', '-n', NAMESPACE, '--wait'], cluster.kubeconfigPath);
    await helm(['uninstall', 'felucca-control-plane', '-n', NAMESPACE, '--wait'], cluster.kubeconfigPath);
    // Sooner than their grace period: they end by themselves.
    await waitUntil(
      'their pods are gone',
      async () =>
        (await cluster.kubectl(['get', 'pods', '-n', NAMESPACE, '-o', 'name'])).trim() === 'pod/database',
      { timeoutMs: 15_000 },
    );
    const instances = await cluster.kubectl(['get', 'instances', '-n', 'tenant-acme', '-o', 'name']);
    expect(instances.trim().split('\n')).toHaveLength(7);
    const pods = await cluster.kubectl([
      ...['get', 'pods', '-n', 'tenant-acme', '--field-selector=status.phase=Running', '-o', 'name'],
    ]);
    expect(pods.trim().split('\n')).toHaveLength(7);
  },
);

/** As `helm … --wait` of a person: it returns when every replica is available. */
async function chart(name: ChartName, verb: 'install' | 'upgrade', ...values: string[]): Promise<void> {
  const required: Record<ChartName, string[]> = {
    'felucca-operator': [],
    'felucca-control-plane': [
      'image.tag=dev',
      'database.secretName=postgres',
      'keys.secretName=felucca-keys',
      'bootstrapKey.secretName=bootstrap',
    ],
  };
  const flags = setFlags([...required[name], ...values]);
  await helm(
    [verb, name, chartPath(name), '-n', NAMESPACE, '--wait', ...flags],
    cluster.kubeconfigPath,
  ).catch(async (error: Error) => {
    const pods = `app.kubernetes.io/instance=${name}`;
    const [state, log, events] = await Promise.all([
      cluster.kubectl(['get', 'pods', '-n', NAMESPACE, '-o', 'wide']),
      cluster.kubectl(['logs', '-n', NAMESPACE, '-l', pods, '--tail=20']),
      cluster.kubectl(['events', '-n', NAMESPACE, '--types=Warning']),
    ]);
    throw new Error(`${error.message}\n${state}\n${log}\n${events}`);
  });
}

async function order(api: Api, name: string): Promise<void> {
  const path = '/v1/organizations/acme/instances';
  const body = { name, dataPlane: 'here', blueprint: 'web', version: '1.0.0', parameters: { message: name } };
  await api.ok('POST', path, body);
  await waitUntil(
    `${name} is Ready`,
    async () => {
      const observed = await api.find(`${path}/${name}/observed`);
      const ready = observed?.conditions?.find((item: { type: string }) => item.type === 'Ready');
      return ready?.status === 'True';
    },
    { timeoutMs: 60_000 },
  );
}

const available = (name: string): Promise<string> =>
  cluster.kubectl([
    ...['get', 'deployment', name, '-n', NAMESPACE],
    ...['-o', 'jsonpath={.status.availableReplicas}'],
  ]);

const database = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'database', labels: { app: 'database' } },
  spec: {
    securityContext: { runAsUser: 70, fsGroup: 70 },
    containers: [
      {
        name: 'postgres',
        image: 'felucca/postgres:18',
        env: [
          { name: 'POSTGRES_USER', value: 'felucca' },
          { name: 'POSTGRES_PASSWORD', value: PASSWORD },
        ],
        readinessProbe: {
          exec: { command: ['pg_isready', '-h', '127.0.0.1', '-p', '5432'] },
          periodSeconds: 1,
        },
        volumeMounts: [
          { name: 'data', mountPath: '/var/lib/postgresql/data' },
          { name: 'tmp', mountPath: '/tmp' },
        ],
      },
    ],
    volumes: [
      { name: 'data', emptyDir: {} },
      { name: 'tmp', emptyDir: {} },
    ],
  },
};
const databaseService = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'database' },
  spec: { selector: { app: 'database' }, ports: [{ port: 5432 }] },
};

/** What the chart asks its installer for. */
function secrets(): object[] {
  const { privateKey } = generateKeyPairSync('ed25519');
  const secret = (name: string, stringData: Record<string, string>) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name },
    stringData,
  });
  const host = `database.${NAMESPACE}.svc`;
  return [
    secret('postgres', { url: `postgres://felucca:${encodeURIComponent(PASSWORD)}@${host}:5432/felucca` }),
    secret('felucca-keys', {
      'signing-key.pem': privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
      'role-secret': randomBytes(32).toString('base64'),
    }),
    secret('bootstrap', { key: platformKey }),
  ];
}
