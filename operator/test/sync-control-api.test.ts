import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cluster, startCluster } from '@felucca/dev';
import { type PostgresServer, startPostgres } from '@felucca/dev/postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from './support/eventually.ts';
import { type Endpoint, type TestTransport, testTransport } from './support/kube.ts';
import { type RunningLink, runLink } from './support/link.ts';

const root = new URL('../../', import.meta.url).pathname;
const NAMESPACE = 'felucca-system';
const KEY_LINE = /fel_[A-Za-z0-9_-]+/;
const BLUEPRINT = {
  name: 'web',
  version: '1.0.0',
  parameters: { type: 'object', properties: { size: { type: 'integer' } } },
  nodes: [
    {
      id: 'config',
      manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { size: '${string(params.size)}' } },
    },
  ],
};

let cluster: Cluster;
let endpoint: Endpoint;
let admin: TestTransport;
let postgres: PostgresServer;
let api: ApiProcess;
let link: RunningLink;
let dataPlaneId: string;
let token: string;
let keyDir: string;

interface ApiProcess {
  url: string;
  key: string;
  child: ChildProcess;
}

beforeAll(async () => {
  const name = `operator-loop-${process.pid}`;
  [cluster, postgres] = await Promise.all([
    startCluster({ name, provider: 'bare' }),
    startPostgres({ name }),
  ]);
  endpoint = { server: cluster.server, caPem: cluster.caPem, token: cluster.adminToken! };
  admin = testTransport(endpoint);
  for (const file of (await readdir(`${root}crds`)).filter((entry) => entry.endsWith('.yaml')))
    await cluster.kubectl(['apply', '-f', `${root}crds/${file}`]);
  await cluster.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s']);
  for (const namespace of [NAMESPACE, 'tenant-acme'])
    await cluster.kubectl(['create', 'namespace', namespace]);
  keyDir = await mkdtemp(join(tmpdir(), 'felucca-keys-'));
  const databaseUrl = await postgres.ensureDatabase('loop');
  api = await startApi(databaseUrl);
  await call('POST', '/v1/organizations', { name: 'acme' });
  await call('POST', '/v1/blueprints', BLUEPRINT);
  const plane = await call('POST', '/v1/data-planes', { name: 'test' });
  dataPlaneId = plane.id ?? plane.dataPlane?.id;
  token = (await call('POST', `/v1/data-planes/${dataPlaneId}/join-tokens`, {})).token;
  link = await runLink({ endpoint, apiUrl: api.url, token, namespace: NAMESPACE });
});
afterAll(async () => {
  await link?.stop();
  api?.child.kill('SIGTERM');
  admin?.close();
  await cluster?.stop();
  await postgres?.stop();
  await rm(keyDir, { recursive: true, force: true });
});

async function startApi(databaseUrl: string, port = 0): Promise<ApiProcess> {
  const env = {
    PATH: process.env['PATH'] ?? '',
    DATABASE_URL: databaseUrl,
    FELUCCA_KEY_DIR: keyDir,
    HOST: '127.0.0.1',
    PORT: String(port || (await freePort())),
  };
  const key = await new Promise<string>((resolve, reject) => {
    const migrate = spawn(process.execPath, [`${root}control-api/src/main.ts`, 'migrate'], { env });
    let problem = '';
    migrate.stderr.on('data', (chunk: Buffer) => {
      problem += chunk;
    });
    migrate.on('exit', (code) => {
      if (code !== 0) return reject(new Error(problem));
      const create = spawn(process.execPath, [`${root}control-api/src/main.ts`, 'create-key'], { env });
      let text = '';
      create.stdout.on('data', (chunk: Buffer) => {
        text += chunk;
      });
      create.on('exit', () => resolve(KEY_LINE.exec(text)?.[0] ?? ''));
    });
  });
  const child = spawn(process.execPath, [`${root}control-api/src/main.ts`], { env, stdio: 'ignore' });
  const url = `http://127.0.0.1:${env.PORT}`;
  await eventually('control-api is ready', async () => (await fetch(`${url}/readyz`)).ok, 60_000);
  return { url, key, child };
}

// biome-ignore lint/suspicious/noExplicitAny: answers of the API
async function call(method: string, path: string, body?: unknown): Promise<any> {
  const response = await fetch(`${api.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${api.key}`,
      'if-match': '*',
      ...(body ? { 'content-type': 'application/json' } : {}),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}

// biome-ignore lint/suspicious/noExplicitAny: objects as the API server returns them
async function kubeGet(path: string): Promise<any> {
  const { status, body } = await admin.send({ method: 'GET', path: `/apis/felucca.dev/v1alpha1/${path}` });
  return status === 200 ? body : undefined;
}
const db = () => kubeGet('namespaces/tenant-acme/instances/db');
const instanceUrl = '/v1/organizations/acme/instances/db';

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

describe('the link between the real control-api and a real API server', () => {
  it('carries an order to the cluster and its acknowledgement back', async () => {
    await call('POST', '/v1/organizations/acme/instances', {
      name: 'db',
      dataPlane: 'test',
      blueprint: 'web',
      version: '1.0.0',
      parameters: { size: 1 },
    });
    const object = await eventually('the Instance is stamped', async () => {
      const seen = await db();
      return seen?.status?.desired && seen;
    });
    expect(object.spec.parameters).toEqual({ size: 1 });
    expect(await kubeGet('blueprints/web-1-0-0')).toMatchObject({ spec: { name: 'web' } });
    expect(await kubeGet('tenants/acme')).toBeDefined();
    await eventually('the operation is applied', async () => {
      const { items } = await call('GET', '/v1/organizations/acme/operations');
      return ['applied', 'ready'].includes(items[0]?.state);
    });
  });

  it('survives kill -9 of the API and goes on by delta', async () => {
    const { url } = api;
    api.child.kill('SIGKILL');
    const databaseUrl = await postgres.ensureDatabase('loop');
    api = await startApi(databaseUrl, Number(new URL(url).port));
    const current = await call('GET', instanceUrl);
    expect(current.name).toBe('db');
    await call('POST', '/v1/organizations/acme/instances', {
      name: 'second',
      dataPlane: 'test',
      blueprint: 'web',
      version: '1.0.0',
      parameters: { size: 2 },
    });
    await eventually(
      'the second Instance arrives',
      () => kubeGet('namespaces/tenant-acme/instances/second'),
      40_000,
    );
    const text = await link.metrics.metrics();
    expect(text).toMatch(/felucca_feed_connected 1/);
    expect(text).toMatch(/felucca_feed_resyncs_total [01]\b/);
  });

  it('shows a restored edit as drift in the API', async () => {
    await cluster.kubectl([
      'patch',
      'instance',
      'db',
      '-n',
      'tenant-acme',
      '--type=merge',
      '-p',
      '{"spec":{"parameters":{"size":99}}}',
    ]);
    await eventually('the edit is undone', async () => (await db()).spec.parameters.size === 1);
    await eventually('the drift is visible', async () => {
      const { items } = await call('GET', `${instanceUrl}/drift`);
      return items.some((item: { path: string }) => item.path === '/spec/parameters/size');
    });
  });

  it('reports a local Instance upward', async () => {
    await cluster.kubectl(['apply', '-f', '-'], { stdin: LOCAL });
    await eventually('the API shows it', async () => {
      const { items } = await call('GET', `/v1/data-planes/${dataPlaneId}/local-instances`);
      return items.some(
        (item: { name?: string; key?: string }) => item.name === 'mine' || item.key === 'acme/mine',
      );
    });
  });

  it('writes nothing when it is restarted and nothing has changed', async () => {
    await link.stop();
    link = await runLink({ endpoint, apiUrl: api.url, token, namespace: NAMESPACE });
    await eventually('it is connected', async () =>
      (await link.metrics.metrics()).includes('felucca_feed_connected 1'),
    );
    await eventually('its report is accepted', async () =>
      /felucca_reports_total\{result="accepted"\} [1-9]/.test(await link.metrics.metrics()),
    );
    expect(link.transport.writes).toEqual([]);
  });

  it('deletes by tombstone and tells the API that it is gone', async () => {
    await call('DELETE', instanceUrl);
    await eventually('the object is gone', async () => !(await db()));
    await eventually('the operation is done', async () => {
      const { items } = await call('GET', '/v1/organizations/acme/operations');
      return items.some(
        (item: { kind: string; state: string }) => item.kind === 'delete' && item.state === 'ready',
      );
    });
  });
});

const LOCAL = `
apiVersion: felucca.dev/v1alpha1
kind: Instance
metadata: { name: mine, namespace: tenant-acme }
spec: { blueprintRef: { name: web, version: 1.0.0 }, parameters: { size: 1 } }
`;
