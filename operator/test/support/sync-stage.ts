import { API_VERSION, DATA_PLANE_NAME } from '@felucca/contract';
import { type Cluster, startCluster } from '@felucca/dev';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { TestControlPlane } from './control-plane.ts';
import { applyDefinitions } from './definitions.ts';
import { eventually } from './eventually.ts';
import { type Endpoint, type TestTransport, type TestWatches, testTransport, testWatches } from './kube.ts';
import { type RunningLink, runLink } from './link.ts';

export const OPERATOR_NAMESPACE = 'felucca-system';
export const instance = (size = 1) => ({
  blueprintRef: { name: 'web', version: '1.0.0' },
  parameters: { size },
});

/** As somebody on the cluster applies it. */
export const localInstance = (name: string, size = 1): string =>
  JSON.stringify({
    apiVersion: API_VERSION,
    kind: 'Instance',
    metadata: { name, namespace: 'tenant-acme' },
    spec: instance(size),
  });

/** A real API server for a file's tests, and for each test a control plane of its own and the links it starts. */
export class SyncStage {
  cluster!: Cluster;
  admin!: TestTransport;
  plane!: TestControlPlane;
  private endpoint!: Endpoint;
  private running: RunningLink[] = [];

  static register(): SyncStage {
    const stage = new SyncStage();
    beforeAll(() => stage.start());
    afterAll(() => stage.stop());
    beforeEach(async () => {
      stage.plane = await TestControlPlane.start();
    });
    afterEach(() => stage.clear());
    return stage;
  }

  async startLink(options: { token?: string; standby?: TestWatches } = {}): Promise<RunningLink> {
    const token = options.token ?? this.plane.token;
    const { endpoint, plane } = this;
    const { standby } = options;
    const one = await runLink({
      endpoint,
      apiUrl: plane.url,
      token,
      namespace: OPERATOR_NAMESPACE,
      ...(standby ? { standby } : {}),
    });
    this.running.push(one);
    return one;
  }

  standby(): Promise<TestWatches> {
    return testWatches(this.endpoint, this.admin.send);
  }

  // biome-ignore lint/suspicious/noExplicitAny: objects as the API server returns them
  async get(path: string): Promise<any> {
    const at = `/apis/felucca.dev/v1alpha1/${path}`;
    const { status, body } = await this.admin.send({ method: 'GET', path: at });
    return status === 200 ? body : undefined;
  }
  instance(name = 'db') {
    return this.get(`namespaces/tenant-acme/instances/${name}`);
  }
  dataPlane() {
    return this.get(`dataplanes/${DATA_PLANE_NAME}`);
  }
  ready() {
    return eventually('the feed is connected', () => this.plane.connected > 0);
  }
  applied(name = 'db') {
    return eventually(`${name} is applied and stamped`, async () => {
      const object = await this.instance(name);
      return object?.status?.desired && object;
    });
  }
  acked() {
    return eventually(
      'the head is acknowledged',
      () => this.plane.lastAck?.cursor === String(this.plane.head),
    );
  }
  persisted() {
    return eventually(
      'the cursor is persisted',
      async () => (await this.dataPlane())?.status?.cursor === String(this.plane.head),
    );
  }

  private async start(): Promise<void> {
    const cluster = await startCluster({ name: `operator-sync-${process.pid}`, provider: 'bare' });
    this.cluster = cluster;
    this.endpoint = { server: cluster.server, caPem: cluster.caPem, token: cluster.adminToken! };
    this.admin = testTransport(this.endpoint);
    await applyDefinitions(cluster);
    for (const name of [OPERATOR_NAMESPACE, 'tenant-acme'])
      await cluster.kubectl(['create', 'namespace', name]);
  }
  private async stop(): Promise<void> {
    this.admin?.close();
    await this.cluster?.stop();
  }
  private async clear(): Promise<void> {
    for (const one of this.running) await one.stop();
    this.running = [];
    await this.plane.stop();
    await this.cluster.kubectl(['delete', 'instances', '--all', '--all-namespaces']);
    for (const kind of ['tenants', 'blueprints', 'dataplanes'])
      await this.cluster.kubectl(['delete', kind, '--all']);
    await this.cluster.kubectl(['delete', 'secret', '--all', '-n', OPERATOR_NAMESPACE]);
  }
}
