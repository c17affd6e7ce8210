import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { type Cluster, startCluster } from '@felucca/dev';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CONFIG_BLUEPRINT, ControlApi } from './support/control-api.ts';
import { eventually } from './support/eventually.ts';
import { type TestTransport, testTransport } from './support/kube.ts';
import { namedMetrics, servedMetrics } from './support/named-metrics.ts';
import { metricsOf, type OperatorUnderTest, spawnOperator } from './support/operator-under-test.ts';

const CRDS = new URL('../../crds/', import.meta.url).pathname;
const NAMESPACE = 'felucca-system';

let cluster: Cluster;
let api: ControlApi;
let admin: TestTransport;
let token: string;
let dataPlaneId: string;
let running: OperatorUnderTest[] = [];

beforeAll(async () => {
  const name = `operator-main-${process.pid}`;
  [cluster, api] = await Promise.all([startCluster({ name, provider: 'bare' }), ControlApi.start(name)]);
  admin = testTransport({ server: cluster.server, caPem: cluster.caPem, token: cluster.adminToken! });
  await cluster.kubectl(['create', 'namespace', NAMESPACE]);
});
afterEach(async () => {
  for (const { child } of running)
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
  running = [];
});
afterAll(async () => {
  admin?.close();
  await api?.stop();
  await cluster?.stop();
});

async function startOperator(env: Record<string, string> = {}): Promise<OperatorUnderTest> {
  const one = await spawnOperator({
    KUBECONFIG: cluster.kubeconfigPath,
    POD_NAME: `operator-${running.length}`,
    POD_NAMESPACE: NAMESPACE,
    FELUCCA_API_URL: api.url,
    FELUCCA_JOIN_TOKEN: token ?? '',
    LOG_LEVEL: 'debug',
    ...env,
  });
  running.push(one);
  return one;
}
const ready = (one: OperatorUnderTest) =>
  eventually(
    'the operator is ready',
    async () => {
      if (one.child.exitCode !== null) throw new Error(one.log());
      return (await fetch(`http://127.0.0.1:${one.port}/readyz`)).ok;
    },
    30_000,
  );
const leads = (one: OperatorUnderTest) =>
  eventually(
    'it leads and is connected',
    async () => {
      if (one.child.exitCode !== null) throw new Error(one.log());
      return /^felucca_feed_connected 1$/m.test(await metricsOf(one));
    },
    30_000,
  );
/** Exit code, or the signal that ended it. */
const exitOf = ({ child, log }: OperatorUnderTest): Promise<number | string> =>
  eventually(
    'the operator ends',
    () => {
      const ended = child.exitCode ?? child.signalCode ?? undefined;
      return ended === undefined ? undefined : { ended };
    },
    40_000,
  ).then(
    ({ ended }) => ended,
    (error: Error) => {
      throw new Error(`${error.message}\n${log().split('\n').slice(-25).join('\n')}`);
    },
  );
// biome-ignore lint/suspicious/noExplicitAny: objects as the API server returns them
async function kubeGet(path: string): Promise<any> {
  const { status, body } = await admin.send({ method: 'GET', path });
  return status === 200 ? body : undefined;
}
const FELUCCA = '/apis/felucca.dev/v1alpha1';
const db = () => kubeGet(`${FELUCCA}/namespaces/tenant-acme/instances/db`);
const leaseOf = () => kubeGet(`/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases/felucca-operator`);
const versions = async (): Promise<Record<string, string>> => {
  const found: Record<string, string> = {};
  for (const plural of ['dataplanes', 'tenants', 'blueprints', 'instances'])
    for (const { metadata } of (await kubeGet(`${FELUCCA}/${plural}`)).items)
      found[`${plural}/${metadata.name}`] = metadata.resourceVersion;
  for (const { metadata } of (await kubeGet('/api/v1/namespaces/tenant-acme/configmaps')).items)
    found[`configmaps/${metadata.name}`] = metadata.resourceVersion;
  return found;
};

describe('the operator process', () => {
  it('says what is wrong with its environment and ends', async () => {
    const one = await startOperator({ METRICS_PORT: 'none', FELUCCA_API_URL: 'nonsense' });
    expect(await exitOf(one)).toBe(2);
    expect(one.log()).toMatch(/FELUCCA_API_URL[\s\S]*METRICS_PORT/);
  });

  it('is alive but not ready until its kinds are served', async () => {
    const one = await startOperator();
    await eventually('alive', async () => (await fetch(`http://127.0.0.1:${one.port}/healthz`)).ok);
    const probe = await fetch(`http://127.0.0.1:${one.port}/readyz`);
    expect(probe.status).toBe(503);
    expect(await probe.text()).toMatch(/not listed yet/);
    for (const file of (await readdir(CRDS)).filter((entry) => entry.endsWith('.yaml')))
      await cluster.kubectl(['apply', '-f', `${CRDS}${file}`]);
    await ready(one);
  });

  it('works without a control plane and says so', async () => {
    const one = await startOperator({ FELUCCA_API_URL: '', FELUCCA_JOIN_TOKEN: '' });
    await ready(one);
    await eventually('the condition', async () =>
      (await kubeGet(`${FELUCCA}/dataplanes/default`))?.status?.conditions?.some(
        (condition: { reason: string }) => condition.reason === 'NotConfigured',
      ),
    );
    one.child.kill('SIGTERM');
    expect(await exitOf(one)).toBe(0);
  });

  it('turns an order into children and reports Ready', async () => {
    await api.call('POST', '/v1/organizations', { name: 'acme' });
    await api.call('POST', '/v1/blueprints', CONFIG_BLUEPRINT);
    dataPlaneId = (await api.call('POST', '/v1/data-planes', { name: 'test' })).id;
    token = (await api.call('POST', `/v1/data-planes/${dataPlaneId}/join-tokens`, {})).token;
    const one = await startOperator();
    await leads(one);
    await api.call('POST', '/v1/organizations/acme/instances', {
      name: 'db',
      dataPlane: 'test',
      blueprint: 'web',
      version: '1.0.0',
      parameters: { size: 3 },
    });
    await eventually(
      'the child',
      async () => {
        const child = await kubeGet('/api/v1/namespaces/tenant-acme/configmaps/db-config');
        return child?.data?.size === '3';
      },
      30_000,
    );
    await eventually(
      'the operation is ready',
      async () => {
        const { items } = await api.call('GET', '/v1/organizations/acme/operations');
        return items[0]?.state === 'ready';
      },
      30_000,
    );
    one.child.kill('SIGTERM');
    expect(await exitOf(one)).toBe(0);
    expect((await leaseOf()).spec.holderIdentity).toBe('');
  });

  it('serves every metric that the alerts and dashboards name, as the API does', async () => {
    const one = await startOperator();
    await leads(one);
    const served = servedMetrics(await metricsOf(one));
    expect(namedMetrics('felucca-operator').length).toBeGreaterThan(30);
    expect(namedMetrics('felucca-operator').filter((name) => !served.has(name))).toEqual([]);
    const ofApi = servedMetrics(await (await fetch(`${api.url}/metrics`)).text());
    expect(namedMetrics('felucca-control-plane').filter((name) => !ofApi.has(name))).toEqual([]);
    expect(namedMetrics('felucca-control-plane').length).toBeGreaterThan(20);
  });

  it('names the trace of the order in its log and on the object', async () => {
    const one = await startOperator();
    await leads(one);
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
    await api.call('PATCH', '/v1/organizations/acme/instances/db', { parameters: { size: 4 } }, headers);
    await eventually('the log tells of it', () => {
      const lines = one.log().split('\n');
      return lines.some((line) => line.includes('row applied') && line.includes(traceId));
    });
    expect((await db()).metadata.annotations['felucca.dev/traceparent']).toContain(traceId);
  });

  it('writes nothing after kill -9 and a restart when nothing has changed', async () => {
    const first = await startOperator();
    await leads(first);
    await eventually('settled', async () => {
      const before = JSON.stringify(await versions());
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      return JSON.stringify(await versions()) === before;
    });
    first.child.kill('SIGKILL');
    await exitOf(first);
    const before = await versions();
    const second = await startOperator({ POD_NAME: 'operator-0' });
    await leads(second);
    await eventually('a report is accepted', async () =>
      /felucca_reports_total\{result="accepted"\} [1-9]/.test(await metricsOf(second)),
    );
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    expect(await versions()).toEqual(before);
    const writes = [
      ...(await metricsOf(second)).matchAll(
        /rest_client_requests_total\{[^}]*method="(PATCH|POST|DELETE)"[^}]*\} \d+/g,
      ),
    ];
    expect(writes.map((match) => match[0])).toEqual([]);
  });

  it('hands over to the operator that stands by, and ends non-zero when its Lease is taken', async () => {
    const first = await startOperator();
    await leads(first);
    const second = await startOperator();
    await ready(second);
    expect(await metricsOf(second)).toMatch(/^felucca_feed_connected 0$/m);
    first.child.kill('SIGTERM');
    expect(await exitOf(first)).toBe(0);
    await leads(second);
    const { leaseTransitions } = (await leaseOf()).spec;
    const stolen = await admin.send({
      method: 'PATCH',
      path: `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases/felucca-operator`,
      contentType: 'application/merge-patch+json',
      body: { spec: { holderIdentity: 'thief', leaseTransitions: leaseTransitions + 1 } },
    });
    expect(stolen.status).toBe(200);
    expect(await exitOf(second)).toBe(1);
  });

  it('deletes what the tombstone names and reports the end', async () => {
    const one = await startOperator();
    await leads(one);
    await api.call('DELETE', '/v1/organizations/acme/instances/db');
    await eventually(
      'the Instance and its child are gone',
      async () => !(await db()) && !(await kubeGet('/api/v1/namespaces/tenant-acme/configmaps/db-config')),
      30_000,
    );
    await eventually('the operation is done', async () => {
      const { items } = await api.call('GET', '/v1/organizations/acme/operations');
      return items.some(
        (item: { kind: string; state: string }) => item.kind === 'delete' && item.state === 'ready',
      );
    });
  });
});
