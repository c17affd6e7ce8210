import { type Cluster, startCluster } from '@felucca/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIG_BLUEPRINT, ControlApi } from './support/control-api.ts';
import { applyDefinitions } from './support/definitions.ts';
import { eventually } from './support/eventually.ts';
import { type Endpoint, type TestTransport, testTransport } from './support/kube.ts';
import { type RunningLink, runLink } from './support/link.ts';

const NAMESPACE = 'felucca-system';

let cluster: Cluster;
let endpoint: Endpoint;
let admin: TestTransport;
let api: ControlApi;
let link: RunningLink;
let dataPlaneId: string;
let token: string;

beforeAll(async () => {
  const name = `operator-loop-${process.pid}`;
  [cluster, api] = await Promise.all([startCluster({ name, provider: 'bare' }), ControlApi.start(name)]);
  endpoint = { server: cluster.server, caPem: cluster.caPem, token: cluster.adminToken! };
  admin = testTransport(endpoint);
  await applyDefinitions(cluster);
  for (const namespace of [NAMESPACE, 'tenant-acme'])
    await cluster.kubectl(['create', 'namespace', namespace]);
  await api.call('POST', '/v1/organizations', { name: 'acme' });
  await api.call('POST', '/v1/blueprints', CONFIG_BLUEPRINT);
  dataPlaneId = (await api.call('POST', '/v1/data-planes', { name: 'test' })).id;
  token = (await api.call('POST', `/v1/data-planes/${dataPlaneId}/join-tokens`, {})).token;
  link = await runLink({ endpoint, apiUrl: api.url, token, namespace: NAMESPACE });
});
afterAll(async () => {
  await link?.stop();
  admin?.close();
  await api?.stop();
  await cluster?.stop();
});

// biome-ignore lint/suspicious/noExplicitAny: objects as the API server returns them
async function kubeGet(path: string): Promise<any> {
  const { status, body } = await admin.send({ method: 'GET', path: `/apis/felucca.dev/v1alpha1/${path}` });
  return status === 200 ? body : undefined;
}
const db = () => kubeGet('namespaces/tenant-acme/instances/db');
const instanceUrl = '/v1/organizations/acme/instances/db';
const order = (name: string, size: number) =>
  api.call('POST', '/v1/organizations/acme/instances', {
    name,
    dataPlane: 'test',
    blueprint: 'web',
    version: '1.0.0',
    parameters: { size },
  });

describe('the link between the real control-api and a real API server', () => {
  it('carries an order to the cluster and its acknowledgement back', async () => {
    await order('db', 1);
    const object = await eventually('the Instance is stamped', async () => {
      const seen = await db();
      return seen?.status?.desired && seen;
    });
    expect(object.spec.parameters).toEqual({ size: 1 });
    expect(await kubeGet('blueprints/web-1-0-0')).toMatchObject({ spec: { name: 'web' } });
    expect(await kubeGet('tenants/acme')).toBeDefined();
    await eventually('the operation is applied', async () => {
      const { items } = await api.call('GET', '/v1/organizations/acme/operations');
      return ['applied', 'ready'].includes(items[0]?.state);
    });
  });

  // Invariant L28.
  it('survives kill -9 of the API and goes on by delta', async () => {
    await api.kill();
    await api.run();
    expect((await api.call('GET', instanceUrl)).name).toBe('db');
    await order('second', 2);
    await eventually(
      'the second Instance arrives',
      () => kubeGet('namespaces/tenant-acme/instances/second'),
      40_000,
    );
    const text = await link.metrics.metrics();
    expect(text).toMatch(/^felucca_feed_connected 1$/m);
    expect(text).toMatch(/^felucca_feed_resyncs_total [01]$/m);
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
      const { items } = await api.call('GET', `${instanceUrl}/drift`);
      return items.some((item: { path: string }) => item.path === '/spec/parameters/size');
    });
  });

  it('reports a local Instance upward', async () => {
    await cluster.kubectl(['apply', '-f', '-'], { stdin: LOCAL });
    await eventually('the API shows it', async () => {
      const { items } = await api.call('GET', `/v1/data-planes/${dataPlaneId}/local-instances`);
      return items.some(
        (item: { name?: string; key?: string }) => item.name === 'mine' || item.key === 'acme/mine',
      );
    });
  });

  it('tells once of a local Tenant whose organization the control plane does not know', async () => {
    const items = async (result: string) => {
      const text = await (await fetch(`${api.url}/metrics`)).text();
      return Number(
        new RegExp(`^felucca_report_items_total\\{result="${result}"\\} (\\d+)$`, 'm').exec(text)?.[1],
      );
    };
    const before = await items('rejected');
    for (const pods of [1, 2, 3, 4]) {
      const accepted = await items('accepted');
      const stdin = LOCAL_TENANT.replace('PODS', String(pods));
      await cluster.kubectl(['apply', '-f', '-'], { stdin });
      if (pods === 1) await eventually('it is refused', async () => (await items('rejected')) === before + 1);
      await cluster.kubectl(['apply', '-f', '-'], { stdin: LOCAL.replace('size: 1', `size: ${pods + 1}`) });
      await eventually('what came after it is told', async () => (await items('accepted')) > accepted);
    }
    expect(await items('rejected')).toBe(before + 1);
  });

  it('tells the platform and the order of a Blueprint whose name somebody took, until it is free', async () => {
    const spec = { ...CONFIG_BLUEPRINT, name: 'taken' };
    const local = {
      apiVersion: 'felucca.dev/v1alpha1',
      kind: 'Blueprint',
      metadata: { name: 'taken-1-0-0' },
      spec,
    };
    await cluster.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(local) });
    await api.call('POST', '/v1/blueprints', spec);
    const { operation } = await api.call('POST', '/v1/organizations/acme/instances', {
      name: 'third',
      dataPlane: 'test',
      blueprint: 'taken',
      version: '1.0.0',
      parameters: { size: 1 },
    });
    const refused = async () => (await api.call('GET', '/v1/data-planes/test/refused-rows')).items;
    await eventually('it is listed', async () => (await refused()).length > 0);
    expect(await refused()).toMatchObject([{ kind: 'Blueprint', key: 'taken-1-0-0', code: 'NameConflict' }]);
    expect((await api.call('GET', `/v1/organizations/acme/operations/${operation.id}`)).message).toMatch(
      /^Blueprint taken-1-0-0 is not applied here, NameConflict: .*somebody else/,
    );
    expect(link.events.at(-1)).toMatch(/^Blueprint taken-1-0-0 RowRefused /);
    await cluster.kubectl(['delete', 'blueprint', 'taken-1-0-0']);
    await eventually('it is applied', async () => (await refused()).length === 0);
  });

  // Invariant L29.
  it('writes nothing when it is restarted and nothing has changed', async () => {
    await link.stop();
    link = await runLink({ endpoint, apiUrl: api.url, token, namespace: NAMESPACE });
    await eventually('it is connected', async () =>
      /^felucca_feed_connected 1$/m.test(await link.metrics.metrics()),
    );
    await eventually('its report is accepted', async () =>
      /felucca_reports_total\{result="accepted"\} [1-9]/.test(await link.metrics.metrics()),
    );
    expect(link.transport.writes).toEqual([]);
  });

  it('deletes by tombstone and tells the API that it is gone', async () => {
    await api.call('DELETE', instanceUrl);
    await eventually('the object is gone', async () => !(await db()));
    await eventually('the operation is done', async () => {
      const { items } = await api.call('GET', '/v1/organizations/acme/operations');
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

const LOCAL_TENANT = `
apiVersion: felucca.dev/v1alpha1
kind: Tenant
metadata: { name: beta }
spec: { quota: { pods: PODS } }
`;
