import {
  API_VERSION,
  type BlueprintObject,
  type InstanceObject,
  type KubeObject,
  LABELS,
  type TenantObject,
} from '@felucca/contract';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createReconcilers } from '../src/reconcilers/index.ts';
import {
  EventRecorder,
  GVR,
  HttpTransport,
  KubeClient,
  Reflector,
  RuntimeMetrics,
} from '../src/runtime/index.ts';
import { createUnsealer } from '../src/sync/unsealer.ts';
import { conditionOf, Driver, example } from './reconcile-driver.ts';
import { adminEndpoint } from './runtime/session.ts';
import { eventually } from './support/eventually.ts';

/** The reconcilers as the operator runs them: watches, queues and workers, on a real API server. */
class Operator {
  readonly registry = new Registry();
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;
  readonly synced: Promise<unknown>;

  constructor(driver: Driver) {
    const log = pino({ level: 'silent' });
    const metrics = new RuntimeMetrics(this.registry);
    const transport = new HttpTransport({ endpoint: adminEndpoint(driver.cluster), metrics });
    const client = new KubeClient(transport);
    const instances = new Reflector<InstanceObject>({ client, log, gvr: GVR.Instance });
    const blueprints = new Reflector<BlueprintObject>({ client, log, gvr: GVR.Blueprint });
    const tenants = new Reflector<TenantObject>({ client, log, gvr: GVR.Tenant });
    const events = new EventRecorder({ client, log, controller: 'felucca.dev/operator', instance: 'test' });
    const reconcilers = createReconcilers({
      shards: { count: 1, holds: () => true, within: (_, work) => work() },
      clientOf: () => client,
      stores: { instances: instances.store, blueprints: blueprints.store, tenants: tenants.store },
      learn: (written) => {
        for (const reflector of [instances, blueprints, tenants])
          if (reflector.kind === written.kind) reflector.learn(written);
      },
      createReflector: (options) => new Reflector({ client, log, ...options }),
      operator: {
        namespace: 'felucca-system',
        serviceAccount: 'felucca-operator',
        tenantClusterRole: 'felucca-operator-tenant',
      },
      open: createUnsealer({ read: async () => undefined }),
      emit: (about, note) => events.emit(about, note),
      metrics,
      registry: this.registry,
      log,
      workers: 8,
    });
    this.synced = reconcilers.synced;
    const { signal } = this.#stop;
    this.#running = Promise.all([
      ...[instances, blueprints, tenants].map((reflector) => reflector.run(signal)),
      reconcilers.watch(signal),
      reconcilers.run(signal),
    ]).then(() => transport.close());
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Requests that change something, since the start. */
  async writes(): Promise<number> {
    const values = (await this.registry.getSingleMetric('rest_client_requests_total')?.get())?.values ?? [];
    return values.filter(({ labels }) => labels.method !== 'GET').reduce((sum, { value }) => sum + value, 0);
  }

  /** Until nothing has been reconciled and nothing written for a while, as the counters say. */
  async quiet(): Promise<number> {
    const settleMs = 1_500;
    let last = await this.#activity();
    let since = performance.now();
    const deadline = since + 30_000;
    while (performance.now() - since < settleMs) {
      const now = await this.#activity();
      if (now !== last) since = performance.now();
      last = now;
      if (performance.now() > deadline) throw new Error('the operator does not come to rest');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return this.writes();
  }

  async #activity(): Promise<number> {
    const values =
      (await this.registry.getSingleMetric('controller_runtime_reconcile_total')?.get())?.values ?? [];
    return values.reduce((sum, { value }) => sum + value, await this.writes());
  }
}

let driver: Driver;
let operator: Operator;
const namespace = 'tenant-loop';

beforeAll(async () => {
  driver = await Driver.start('reconcilers-loop', 'kwok');
  operator = new Operator(driver);
  await operator.synced;
  await driver.apply({ apiVersion: API_VERSION, kind: 'Tenant', metadata: { name: 'loop' }, spec: {} });
  await driver.apply(example('blueprint-web'));
  await eventually('the tenant is ready', async () => {
    const tenant = await driver.api.read({ apiVersion: API_VERSION, kind: 'Tenant', name: 'loop' });
    return conditionOf(tenant, 'Ready')?.status === 'True';
  });
});
afterAll(async () => {
  await operator?.stop();
  await driver?.stop();
});

const order = (name: string) =>
  driver.order(namespace, name, {
    blueprintRef: { name: 'web', version: '1.0.0' },
    parameters: { replicas: 1 },
  });
const NO_PODS = JSON.stringify({ spec: { selector: { [LABELS.node]: 'nowhere' } } });
const isReady = async (name: string): Promise<boolean> => {
  const instance = await driver.instance(namespace, name);
  return (
    conditionOf(instance, 'Ready')?.status === 'True' &&
    instance?.status?.observedGeneration === instance?.metadata.generation
  );
};
const deployment = async (name: string): Promise<KubeObject<{ replicas: number }> | undefined> =>
  (await driver.api.read({ apiVersion: 'apps/v1', kind: 'Deployment', namespace, name })) as
    | KubeObject<{ replicas: number }>
    | undefined;

describe('the running reconcilers', () => {
  test('bring an Instance to Ready with few writes, and then rest', async () => {
    const before = await operator.quiet();
    await order('site');
    await eventually('site is ready', () => isReady('site'));
    const writes = (await operator.quiet()) - before;
    // Finalizer with inventory, Service, Deployment, and one status: there was no need for one on the way.
    expect(writes).toBe(4);
    const at = await operator.writes();
    expect(await operator.quiet()).toBe(at);
  });

  test('see an edited child through the watch and set it back', async () => {
    await driver.cluster.kubectl(['scale', 'deployment/site-web', '-n', namespace, '--replicas=4']);
    await eventually('it is set back', async () => (await deployment('site-web'))?.spec?.replicas === 1);
    await eventually(
      'it is recorded',
      async () => (await driver.instance(namespace, 'site'))?.status?.drift?.[0]?.path === '/spec/replicas',
    );
    await eventually('site is ready again', () => isReady('site'));
  });

  describe('lose sight of no child', () => {
    const { instance: NAME, instanceUid: UID } = LABELS;
    test.each<[string, string, string[]]>([
      ['another name', 'renamed', [`${NAME}=nobody`]],
      ['another UID', 'stolen', [`${UID}=of-nobody`]],
      ['no UID', 'dropped', [`${UID}-`]],
      ['another name and another UID', 'hidden', [`${NAME}=nobody`, `${UID}=of-nobody`]],
    ])('that somebody gives %s, breaks and deletes', async (_, name, edits) => {
      await order(name);
      await eventually('it is ready', () => isReady(name));
      const instance = await driver.instance(namespace, name);
      const service = ['service', `${name}-service`, '-n', namespace];
      const edit = () => driver.cluster.kubectl(['label', ...service, ...edits, '--overwrite']);
      const mended = (what: string, before?: string) =>
        eventually(what, async () => {
          const ref = { apiVersion: 'v1', kind: 'Service', namespace, name: `${name}-service` };
          const { metadata, spec } = (await driver.api.read(ref)) ?? {};
          const { selector } = (spec ?? {}) as { selector?: Record<string, string> };
          const isOurs = metadata?.labels?.[NAME] === name && metadata.labels[UID] === instance?.metadata.uid;
          const isWhole = isOurs && selector?.[LABELS.node] === 'web';
          return isWhole && metadata.uid !== before ? metadata.uid : undefined;
        });
      await edit();
      await driver.cluster.kubectl(['patch', ...service, '--type=merge', '-p', NO_PODS]);
      const uid = await mended('it is set back');
      await edit();
      await driver.cluster.kubectl(['delete', ...service]);
      await mended('it is made again', uid);
      await eventually('it is ready again', () => isReady(name));
    });
  });

  test('write nothing after a restart when nothing changed', async () => {
    for (const name of ['one', 'two', 'three']) await order(name);
    for (const name of ['one', 'two', 'three']) await eventually(`${name} is ready`, () => isReady(name));
    await operator.quiet();
    await operator.stop();
    operator = new Operator(driver);
    await operator.synced;
    expect(await operator.quiet()).toBe(0);
  });

  test('handle what happened while they were away', async () => {
    await operator.stop();
    await driver.cluster.kubectl(['delete', 'service', 'one-service', '-n', namespace]);
    await driver.cluster.kubectl(['delete', 'instance', 'two', '-n', namespace, '--wait=false']);
    operator = new Operator(driver);
    await eventually('two is gone', async () => (await driver.instance(namespace, 'two')) === undefined);
    await eventually('the Service is back', async () => {
      const service = await driver.api.read({
        apiVersion: 'v1',
        kind: 'Service',
        namespace,
        name: 'one-service',
      });
      return service !== undefined;
    });
    await eventually('one is ready', () => isReady('one'));
  });

  test("put a tenant's guard rails back as soon as somebody takes them away, and then rest", async () => {
    const { kubectl } = driver.cluster;
    await kubectl(['delete', 'networkpolicy', '--all', '-n', namespace]);
    await kubectl(['delete', 'resourcequota', 'felucca', '-n', namespace]);
    await kubectl(['label', 'ns', namespace, 'pod-security.kubernetes.io/enforce=privileged', '--overwrite']);
    const guardRails = async (): Promise<string> => {
      const kinds = 'networkpolicies,resourcequotas,limitranges,serviceaccounts,rolebindings';
      return kubectl(['get', kinds, '-n', namespace, '-l', 'felucca.dev/tenant=loop', '-o', 'name']);
    };
    await eventually('everything is back', async () => (await guardRails()).trim().split('\n').length === 7);
    await eventually('pods are restricted again', async () =>
      (await kubectl(['get', 'ns', namespace, '-o', 'jsonpath={.metadata.labels}'])).includes(
        '"pod-security.kubernetes.io/enforce":"restricted"',
      ),
    );
    await operator.quiet();
  });

  test('pause when a guard rail is changed as often as they put it back, and say by whom', async () => {
    const { kubectl } = driver.cluster;
    const tenant = () => driver.api.read({ apiVersion: API_VERSION, kind: 'Tenant', name: 'fought' });
    const label = 'pod-security.kubernetes.io/enforce';
    const enforced = async () =>
      (await driver.api.read({ apiVersion: 'v1', kind: 'Namespace', name: 'tenant-fought' }))?.metadata
        .labels?.[label];
    const relabel = () => kubectl(['label', 'ns', 'tenant-fought', `${label}=privileged`, '--overwrite']);
    await driver.apply({ apiVersion: API_VERSION, kind: 'Tenant', metadata: { name: 'fought' }, spec: {} });
    await eventually('it is ready', async () => conditionOf(await tenant(), 'Ready')?.status === 'True');
    for (let time = 0; time < 5; time += 1) {
      await relabel();
      await eventually('it is set back', async () => (await enforced()) === 'restricted');
    }
    await relabel();
    await eventually('it is told', async () => conditionOf(await tenant(), 'DriftDetected'));
    expect(conditionOf(await tenant(), 'DriftDetected')).toMatchObject({
      status: 'True',
      message: expect.stringMatching(/^Namespace\/tenant-fought .*enforce is changed .* by kubectl-label;/),
    });
    expect(conditionOf(await tenant(), 'Ready')).toMatchObject({ status: 'True' });
    await operator.quiet();
    expect(await enforced()).toBe('privileged');
  });

  test('make a deleted namespace again', async () => {
    await driver.apply({ apiVersion: API_VERSION, kind: 'Tenant', metadata: { name: 'lost' }, spec: {} });
    const exists = () =>
      driver.api.read({
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'RoleBinding',
        namespace: 'tenant-lost',
        name: 'felucca-operator',
      });
    await eventually('it is there', exists);
    await driver.cluster.kubectl(['delete', 'ns', 'tenant-lost', '--timeout=60s'], { timeoutMs: 70_000 });
    await eventually('it is there again', exists, 30_000);
  });
});
