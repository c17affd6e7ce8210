import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chooseProvider } from '../src/cluster/choose-provider.ts';
import type { Cluster } from '../src/cluster/cluster.ts';
import { startCluster } from '../src/cluster/start-cluster.ts';
import { buildImages } from '../src/images/index.ts';
import { waitUntil } from '../src/process/wait-until.ts';

const provider = await chooseProvider('auto');
const restricted = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
};

// The images under the hardest pod security there is; without real nodes nothing would run.
test.skipIf(provider !== 'nodes')(
  'Postgres and the web product run under "restricted" with a read-only root, and answer',
  async () => {
    await apply({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'strict', labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
    });
    await apply(
      pod('db', 70, {
        image: 'felucca/postgres:18',
        env: [
          { name: 'POSTGRES_USER', value: 'app' },
          { name: 'POSTGRES_PASSWORD', value: 'over the wire' },
        ],
        readinessProbe: {
          exec: { command: ['pg_isready', '-h', '127.0.0.1', '-p', '5432'] },
          periodSeconds: 1,
        },
        volumeMounts: [
          { name: 'data', mountPath: '/var/lib/postgresql/data' },
          { name: 'tmp', mountPath: '/tmp' },
        ],
      }),
    );
    await apply(
      pod('page', 65532, {
        image: 'felucca/web:dev',
        env: [{ name: 'MESSAGE', value: 'hello & goodbye' }],
        readinessProbe: { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 1 },
      }),
    );
    await apply(
      pod('unhealthy', 65532, {
        image: 'felucca/web:dev',
        env: [{ name: 'FAIL_HEALTH', value: 'true' }],
      }),
    );
    await apply(pod('crash', 65532, { image: 'felucca/web:dev', env: [{ name: 'CRASH', value: 'true' }] }));
    await cluster.kubectl(
      ['wait', '-n', 'strict', '--for=condition=Ready', 'pod/db', 'pod/page', '--timeout=90s'],
      { timeoutMs: 100_000 },
    );

    const client = new pg.Client({
      host: await podAddress('db'),
      user: 'app',
      database: 'app',
      password: 'over the wire',
    });
    await client.connect();
    expect((await client.query('SHOW server_version')).rows[0].server_version).toMatch(/^18\./);
    await client.end();
    const page = await fetch(`http://${await podAddress('page')}:8080/`);
    expect(await page.text()).toBe('hello & goodbye\n');
    const health = await fetch(`http://${await podAddress('unhealthy')}:8080/healthz`);
    expect(health.status).toBe(404);
    await waitUntil('the crash is seen', async () => (await status('crash')).includes('"exitCode":3'), {
      timeoutMs: 30_000,
    });

    // Well below the grace period of 30 s, after which they would be killed.
    await cluster.kubectl(['delete', '-n', 'strict', 'pod/page', 'pod/db', '--timeout=15s']);
  },
);

let cluster: Cluster;
beforeAll(async () => {
  if (provider !== 'nodes') return;
  cluster = await startCluster({ name: `images-${process.pid}`, provider, nodes: 1 });
  const images = await buildImages(['web', 'postgres']);
  await cluster.loadImage(images.web.archive);
  await cluster.loadImage(images.postgres.archive);
});
afterAll(() => cluster?.stop());

const apply = (object: unknown) => cluster.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(object) });
const status = (name: string) =>
  cluster.kubectl(['get', 'pod', name, '-n', 'strict', '-o', 'jsonpath={.status}']);
const podAddress = async (name: string) => JSON.parse(await status(name)).podIP as string;

function pod(name: string, user: number, container: Record<string, unknown>) {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'strict' },
    spec: {
      automountServiceAccountToken: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: user,
        fsGroup: user,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [{ name: 'main', securityContext: restricted, ...container }],
      volumes: [
        { name: 'data', emptyDir: {} },
        { name: 'tmp', emptyDir: {} },
      ],
    },
  };
}
