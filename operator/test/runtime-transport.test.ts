import { readFileSync } from 'node:fs';
import type { KubeObject } from '@felucca/contract';
import { type Cluster, startCluster } from '@felucca/dev';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import {
  ApiError,
  GVR,
  HttpTransport,
  KubeClient,
  type KubeEndpoint,
  Reflector,
} from '../src/runtime/index.ts';
import { ScriptedServer } from './runtime/scripted-server.ts';
import { configMap, openSession, type Session, series, until } from './runtime/session.ts';
import { TcpProxy } from './runtime/tcp-proxy.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ name: `runtime-transport-${process.pid}`, provider: 'bare' });
});
afterAll(() => cluster?.stop());

const apply = (session: Session, object: KubeObject, fieldManager: string): Promise<KubeObject> =>
  session.client.apply(GVR.ConfigMap, 'default', object.metadata.name, object, { fieldManager });

test('a thousand calls need one connection', async () => {
  const proxy = await TcpProxy.start(cluster.server);
  onTestFinished(() => proxy.stop());
  const { client } = openSession(cluster, { server: proxy.url });
  for (let round = 0; round < 10; round++)
    await Promise.all(Array.from({ length: 100 }, () => client.get(GVR.Namespace, undefined, 'default')));
  expect(proxy.accepted).toBe(1);
});

test('HTTP/1.1 does the same, with connections that are kept', async () => {
  const proxy = await TcpProxy.start(cluster.server);
  onTestFinished(() => proxy.stop());
  const session = openSession(cluster, { server: proxy.url, http1: true });
  await Promise.all(Array.from({ length: 20 }, (_, n) => apply(session, configMap(`h1-${n}`), 'test')));
  const opened = proxy.accepted;
  await Promise.all(Array.from({ length: 20 }, (_, n) => apply(session, configMap(`h1-${n}`), 'test')));
  expect(proxy.accepted).toBe(opened);
  expect(opened).toBeLessThanOrEqual(20);
});

test('a cut connection does not show in reads and applies', async () => {
  const proxy = await TcpProxy.start(cluster.server);
  onTestFinished(() => proxy.stop());
  const session = openSession(cluster, { server: proxy.url });
  await apply(session, configMap('cut'), 'test');
  for (let n = 0; n < 20; n++) {
    const both = Promise.all([
      apply(session, configMap('cut', { n: String(n) }), 'test'),
      session.client.get(GVR.ConfigMap, 'default', 'cut'),
    ]);
    proxy.cut();
    await both;
  }
  expect((await series(session, 'rest_client_request_retries_total')).join()).toMatch(/code="<error>"/);
});

test('a frozen connection fails a call at its deadline and is replaced for the next one', async () => {
  const proxy = await TcpProxy.start(cluster.server);
  onTestFinished(() => proxy.stop());
  const { client } = openSession(cluster, { server: proxy.url });
  await client.get(GVR.Namespace, undefined, 'default');
  proxy.freeze();
  const startedMs = performance.now();
  const call = client.get(GVR.Namespace, undefined, 'default', { timeoutMs: 500 });
  await expect(call).rejects.toMatchObject({
    status: 0,
    message: expect.stringMatching(/did not answer.*500 ms/),
  });
  expect(performance.now() - startedMs).toBeLessThan(2_000);
  await until('the connection to be dropped', async () => expect(proxy.open).toBe(0), 3_000);
  proxy.thaw();
  expect(await client.get(GVR.Namespace, undefined, 'default')).toBeDefined();
});

test('a call of a reconcile ends with its time, and says so', async () => {
  const proxy = await TcpProxy.start(cluster.server);
  onTestFinished(() => proxy.stop());
  const { client } = openSession(cluster, { server: proxy.url });
  await client.get(GVR.Namespace, undefined, 'default');
  proxy.freeze();
  const reconcile = new AbortController();
  const call = client.until(reconcile.signal).get(GVR.Namespace, undefined, 'default');
  reconcile.abort(new Error('The reconcile took too long.'));
  await expect(call).rejects.toMatchObject({
    status: 0,
    message: expect.stringMatching(/The reconcile took too long/),
  });
  const after = client.until(reconcile.signal).get(GVR.Namespace, undefined, 'default');
  await expect(after).rejects.toMatchObject({ status: 0 });
});

test('nobody there: the error says where and why, after a few tries', async () => {
  const { client } = openSession(cluster, { server: 'https://127.0.0.1:1' });
  const call = client.get(GVR.Namespace, undefined, 'default');
  await expect(call).rejects.toBeInstanceOf(ApiError);
  await expect(call).rejects.toThrow(/127\.0\.0\.1:1.*ECONNREFUSED/);
});

// What a healthy API server never does on request: a server that follows a script, with the cluster's certificate.

async function scripted(options: { http1?: boolean } = {}) {
  const pki = (name: string): Buffer => readFileSync(`${cluster.stateDir}/pki/${name}`);
  const server = await ScriptedServer.start({
    cert: pki('apiserver.crt'),
    key: pki('apiserver.key'),
    ...options,
  });
  onTestFinished(() => server.stop());
  let tokens = 0;
  const endpoint: KubeEndpoint = {
    server: server.url,
    ca: cluster.caPem,
    verify: true,
    auth: async ({ refresh } = {}) => {
      if (refresh) tokens++;
      return { headers: { authorization: `Bearer token-${tokens}` } };
    },
  };
  const transport = new HttpTransport({ endpoint });
  onTestFinished(() => transport.close());
  return { server, client: new KubeClient(transport), transport };
}
const create = (client: KubeClient): Promise<KubeObject> =>
  client.create(GVR.ConfigMap, 'default', configMap('new'));

test('GOAWAY: what runs ends on the old connection, what comes goes to a new one, and nothing fails', async () => {
  const { server, client } = await scripted();
  server.answer = async (call) => {
    if (call.n === 1) server.goAway();
    if (call.n === 1) await new Promise((resolve) => setTimeout(resolve, 50));
    return { status: 200, body: '{}' };
  };
  await Promise.all([create(client), create(client)]);
  await create(client);
  expect(server.connections).toBe(2);
});

test('GOAWAY: a watch goes on from its place on a new connection, as after any end', async () => {
  const { server, client } = await scripted();
  const synced = { 'k8s.io/initial-events-end': 'true' };
  const bookmark = { type: 'BOOKMARK', object: { metadata: { resourceVersion: '7', annotations: synced } } };
  server.answer = async () => ({ status: 200, body: `${JSON.stringify(bookmark)}\n`, open: true });
  const warnings: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => void warnings.push(line) });
  const reflector = new Reflector({ client, log, gvr: GVR.ConfigMap });
  const stopping = new AbortController();
  const running = reflector.run(stopping.signal);
  onTestFinished(() => {
    stopping.abort();
    return running;
  });
  await reflector.store.synced;
  server.goAway();
  // At most ten seconds later, and never so soon that the watch looks as if it did not work.
  await until('the next watch', () => expect(server.calls).toHaveLength(2), 12_000);
  expect(server.connections).toBe(2);
  expect(server.calls[1]!.path).toMatch(/resourceVersion=7/);
  expect(warnings).toEqual([]);
});

test('a refused stream was not acted on: even a create is sent again', async () => {
  const { server, client } = await scripted();
  server.answer = async ({ n }) => (n === 1 ? 'refuse' : { status: 201, body: '{}' });
  await create(client);
  expect(server.calls).toHaveLength(2);
});

test('a create whose answer got lost is not sent again; an apply is', async () => {
  const { server, client } = await scripted();
  server.answer = async ({ n }) => (n === 1 || n === 2 ? 'hang-up' : { status: 200, body: '{}' });
  await expect(create(client)).rejects.toMatchObject({ status: 0 });
  expect(server.calls).toHaveLength(1);
  await client.apply(GVR.ConfigMap, 'default', 'new', configMap('new'), { fieldManager: 'test' });
  expect(server.calls).toHaveLength(3);
});

test('429 waits as long as it is asked to, then sends again', async () => {
  const { server, client } = await scripted();
  server.answer = async ({ n }) =>
    n === 1 ? { status: 429, headers: { 'retry-after': '1' }, body: '{}' } : { status: 201, body: '{}' };
  const startedMs = performance.now();
  await create(client);
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual(1_000);
});

for (const http1 of [false, true]) {
  const protocol = http1 ? 'HTTP/1.1' : 'HTTP/2';
  test(`429 with a wait beyond the deadline: the call fails at its deadline and is not sent again (${protocol})`, async () => {
    const { server, client } = await scripted({ http1 });
    const busy = { status: 429, headers: { 'retry-after': '10' }, body: '{}' };
    server.answer = ({ n }) => (n === 1 ? Promise.resolve(busy) : new Promise(() => undefined));
    const call = client.replace(GVR.ConfigMap, 'default', configMap('held'), { timeoutMs: 500 });
    await expect(call).rejects.toMatchObject({ status: 0, message: expect.stringMatching(/500 ms/) });
    expect(server.calls).toHaveLength(1);
  }, 10_000);

  test(`what was given up before it was sent is not sent (${protocol})`, async () => {
    const { server, client, transport } = await scripted({ http1 });
    await client.get(GVR.Namespace, undefined, 'default');
    const call = transport.request({ method: 'GET', path: '/api', signal: AbortSignal.abort() });
    await expect(call).rejects.toMatchObject({ status: 0 });
    expect(server.calls).toHaveLength(1);
  });
}

test('for ever busy: after a few tries the caller decides', async () => {
  const { server, client } = await scripted();
  server.answer = async () => ({
    status: 429,
    headers: { 'retry-after': '0' },
    body: '{"reason":"TooManyRequests","message":"busy"}',
  });
  await expect(create(client)).rejects.toMatchObject({ status: 429, reason: 'TooManyRequests' });
  expect(server.calls).toHaveLength(5);
});

test('an expired token is read again, once', async () => {
  const { server, client } = await scripted();
  server.answer = async ({ headers }) =>
    headers['authorization'] === 'Bearer token-1' ? { status: 200, body: '{}' } : { status: 401, body: '{}' };
  await client.get(GVR.Namespace, undefined, 'default');
  expect(server.calls).toHaveLength(2);
  server.answer = async () => ({ status: 401, body: '{"message":"Unauthorized"}' });
  await expect(client.get(GVR.Namespace, undefined, 'default')).rejects.toMatchObject({ status: 401 });
  expect(server.calls).toHaveLength(4);
});

test('a server that does not speak HTTP/2 is spoken to in HTTP/1.1', async () => {
  const { server, client } = await scripted({ http1: true });
  server.answer = async () => ({ status: 200, body: '{"metadata":{"name":"default"}}' });
  expect(await client.get(GVR.Namespace, undefined, 'default')).toMatchObject({
    metadata: { name: 'default' },
  });
  expect(server.calls[0]?.version).toBe('1.1');
});

test('no more requests are under way than the server allows at a time', async () => {
  const { server, client } = await scripted();
  let active = 0;
  let most = 0;
  server.answer = async () => {
    most = Math.max(most, ++active);
    await new Promise((resolve) => setTimeout(resolve, 20));
    active--;
    return { status: 200, body: '{}' };
  };
  await create(client);
  await Promise.all(Array.from({ length: 60 }, () => create(client)));
  // The server allows ten on a connection, and there are at most four connections.
  expect(most).toBeLessThanOrEqual(40);
  expect(server.calls).toHaveLength(61);
});
