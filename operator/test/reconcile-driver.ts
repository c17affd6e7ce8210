import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { BlueprintObject, InstanceObject, KubeObject, TenantObject } from '@felucca/contract';
import { API_VERSION, LABELS } from '@felucca/contract';
import { type Cluster, startCluster } from '@felucca/dev';
import { parse } from 'yaml';
import { ClusterTypes } from '../src/reconcilers/blueprint/cluster-types.ts';
import { CompiledBlueprints } from '../src/reconcilers/blueprint/compiled-blueprints.ts';
import { reconcileBlueprint } from '../src/reconcilers/blueprint/reconcile-blueprint.ts';
import type { LiveObject } from '../src/reconcilers/cluster.ts';
import { FailurePatience } from '../src/reconcilers/failure.ts';
import { AppliedHashes } from '../src/reconcilers/instance/applied-hashes.ts';
import type { InstanceContext } from '../src/reconcilers/instance/context.ts';
import { reconcileInstance } from '../src/reconcilers/instance/reconcile-instance.ts';
import { RemovalWatch } from '../src/reconcilers/instance/removal-watch.ts';
import { RepairThrottle } from '../src/reconcilers/instance/repair-throttle.ts';
import { StatusPatience } from '../src/reconcilers/instance/status-patience.ts';
import { reconcileTenant } from '../src/reconcilers/tenant/reconcile-tenant.ts';
import type { Outcome } from '../src/runtime/outcome.ts';
import { createUnsealer } from '../src/sync/unsealer.ts';
import { ApiCluster, WATCHED_KINDS } from './api-cluster.ts';
import { applyDefinitions } from './support/definitions.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
export const example = (name: string): KubeObject =>
  parse(readFileSync(`${root}crds/examples/valid/${name}.yaml`, 'utf8')) as KubeObject;

/** Drives the reconcilers step by step over a real API server: what they know is read before each step. */
export class Driver {
  readonly api: ApiCluster;
  readonly cluster: Cluster;
  readonly events: string[] = [];
  readonly metrics = { detected: 0, repaired: 0, throttled: 0 };
  /** Effects of the changes that were made to children, in order. */
  readonly changes: string[] = [];
  now: () => Date = () => new Date();
  /** The operator's identity Secret. */
  identity: { data: Record<string, string>; resourceVersion: string } | undefined;
  /** Monotonic milliseconds of the repair throttle and of what was applied. */
  throttleMs: () => number = () => performance.now();
  /** Monotonic milliseconds of the patience with failures. */
  failureMs: () => number = () => performance.now();
  /** How long "in progress" may wait; read by `restart()`. 0: each step writes what it sees. */
  patienceMs = 0;
  #known: {
    instances: LiveObject[];
    blueprints: LiveObject[];
    tenants: LiveObject[];
    children: LiveObject[];
  } = {
    instances: [],
    blueprints: [],
    tenants: [],
    children: [],
  };
  #context: InstanceContext;
  readonly #types: ClusterTypes;

  private constructor(cluster: Cluster) {
    this.cluster = cluster;
    this.api = new ApiCluster(cluster.server, cluster.caPem, cluster.adminToken ?? '');
    this.#context = this.#newContext();
    this.#types = new ClusterTypes(this.api);
  }

  static async start(name: string, provider: 'bare' | 'kwok'): Promise<Driver> {
    const cluster = await startCluster({ name, provider });
    const driver = new Driver(cluster);
    await applyDefinitions(cluster);
    await cluster.kubectl([
      'create',
      'clusterrole',
      'felucca-operator-tenant',
      '--verb=get',
      '--resource=pods',
    ]);
    return driver;
  }

  async stop(): Promise<void> {
    this.api.close();
    await this.cluster.stop();
  }

  patch(namespace: string, name: string, spec: object): Promise<string> {
    const body = JSON.stringify({ spec });
    return this.cluster.kubectl(['patch', 'instance', name, '-n', namespace, '--type=merge', '-p', body]);
  }

  /**
   * What three steps write once the status has caught up with the pods, which come and go for a while after a change.
   * Who never stops writing is found out: the wait has an end.
   */
  async settledWrites(namespace: string, name: string): Promise<string[]> {
    const threeSteps = async (): Promise<string[]> => {
      this.api.writes.length = 0;
      for (let i = 0; i < 3; i += 1) await this.step(namespace, name);
      return [...this.api.writes];
    };
    const deadline = performance.now() + 20_000;
    while ((await threeSteps()).length > 0 && performance.now() < deadline) await delay(100);
    return threeSteps();
  }

  /** One step whose process is killed at its n-th write, before that leaves; the next step is a new process's. */
  async dieAt(write: number, namespace: string, name: string): Promise<void> {
    let writes = 0;
    this.api.beforeWrite = () => {
      writes += 1;
      if (writes === write) throw new Error('the operator was killed');
    };
    await this.step(namespace, name).catch(() => undefined);
    this.api.beforeWrite = () => undefined;
    this.restart();
  }

  /** The operator process dies: everything it remembered is gone. */
  restart(): void {
    this.#context = this.#newContext();
    this.api.writes.length = 0;
  }

  #newContext(): InstanceContext {
    const find = <T>(list: 'instances' | 'blueprints' | 'tenants') => ({
      get: (namespace: string | undefined, name: string) =>
        this.#known[list].find(
          (item) => item.metadata.name === name && item.metadata.namespace === namespace,
        ) as T | undefined,
    });
    const of = (uid: string) =>
      this.#known.children.filter((item) => item.metadata.labels?.[LABELS.instanceUid] === uid);
    return {
      cluster: this.api,
      afterwards: this.api,
      instances: find<InstanceObject>('instances'),
      blueprints: find<BlueprintObject>('blueprints'),
      tenants: find<TenantObject>('tenants'),
      children: (uid) => of(uid).filter((item) => item.kind !== 'Pod'),
      pods: (uid) => of(uid).filter((item) => item.kind === 'Pod'),
      claims: (namespace, name) =>
        this.#known.children.filter(
          ({ kind, metadata }) =>
            kind === 'PersistentVolumeClaim' &&
            metadata.namespace === namespace &&
            metadata.labels?.[LABELS.instance] === name,
        ),
      compiled: new CompiledBlueprints(),
      throttle: new RepairThrottle(() => this.throttleMs()),
      applied: new AppliedHashes(() => this.throttleMs()),
      patience: new StatusPatience({ patienceMs: this.patienceMs }),
      removals: new RemovalWatch(() => this.now().getTime()),
      failures: new FailurePatience(() => this.failureMs()),
      open: createUnsealer({ read: async () => this.identity }),
      emit: (about, event) => this.events.push(`${about.metadata.name} ${event.reason}: ${event.message}`),
      metrics: {
        driftDetected: () => {
          this.metrics.detected += 1;
        },
        driftRepaired: () => {
          this.metrics.repaired += 1;
        },
        repairThrottled: () => {
          this.metrics.throttled += 1;
        },
        childChanged: (effect) => this.changes.push(effect),
      },
      clock: () => this.now(),
    };
  }

  async #look(namespace: string): Promise<void> {
    const all = async (kind: string): Promise<LiveObject[]> =>
      this.api.list(API_VERSION, kind, namespace, '');
    const children = WATCHED_KINDS.map(({ apiVersion, kind }) =>
      this.api.list(apiVersion, kind, namespace, LABELS.instanceUid),
    );
    const [instances, blueprints, tenants] = await Promise.all([
      all('Instance'),
      all('Blueprint'),
      all('Tenant'),
    ]);
    this.#known = { instances, blueprints, tenants, children: (await Promise.all(children)).flat() };
  }

  /** One reconcile of an Instance with a fresh view. */
  async step(namespace: string, name: string): Promise<Outcome> {
    await this.#look(namespace);
    return reconcileInstance(this.#context, namespace, name);
  }

  /** Reconciles until `condition` holds for the Instance, as events would. */
  async until(
    namespace: string,
    name: string,
    what: string,
    condition: (instance: InstanceObject | undefined) => boolean,
    timeoutMs = 30_000,
  ): Promise<InstanceObject> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      await this.step(namespace, name);
      const instance = await this.instance(namespace, name);
      if (condition(instance)) return instance as InstanceObject;
      if (performance.now() > deadline)
        throw new Error(
          `${what} did not happen; the Instance is ${JSON.stringify(instance?.status, null, 1)}`,
        );
    }
  }

  ready(namespace: string, name: string): Promise<InstanceObject> {
    return this.until(
      namespace,
      name,
      'Ready',
      (instance) => conditionOf(instance, 'Ready')?.status === 'True',
    );
  }

  async instance(namespace: string, name: string): Promise<InstanceObject | undefined> {
    return (await this.api.read({ apiVersion: API_VERSION, kind: 'Instance', namespace, name })) as
      | InstanceObject
      | undefined;
  }

  async tenant(name: string): Promise<Outcome> {
    await this.#look(`tenant-${name}`);
    return reconcileTenant(
      {
        ...this.#context,
        operator: {
          namespace: 'felucca-system',
          serviceAccount: 'felucca-operator',
          tenantClusterRole: 'felucca-operator-tenant',
        },
      },
      name,
    );
  }

  async blueprint(name: string): Promise<Outcome> {
    await this.#look('default');
    return reconcileBlueprint({ ...this.#context, types: this.#types }, name);
  }

  /** As a person with kubectl. */
  async apply(object: object): Promise<void> {
    await this.cluster.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(object) });
  }

  /** A Tenant whose namespace is ready, and an example Blueprint. */
  async prepare(tenant: string, ...blueprints: KubeObject[]): Promise<string> {
    await this.apply({ apiVersion: API_VERSION, kind: 'Tenant', metadata: { name: tenant }, spec: {} });
    for (const blueprint of blueprints) {
      await this.apply(blueprint);
      await this.blueprint(blueprint.metadata.name);
    }
    await this.tenant(tenant);
    return `tenant-${tenant}`;
  }

  async order(namespace: string, name: string, spec: object): Promise<void> {
    await this.apply({ apiVersion: API_VERSION, kind: 'Instance', metadata: { name, namespace }, spec });
  }
}

export const conditionOf = (object: KubeObject | undefined, type: string) =>
  (object?.status as InstanceObject['status'])?.conditions?.find((item) => item.type === type);

/** Name and path of every example of a folder. */
export const examplesIn = (folder: 'valid' | 'must-reject'): [string, string][] =>
  readdirSync(`${root}crds/examples/${folder}`).map((file) => [
    file,
    `${root}crds/examples/${folder}/${file}`,
  ]);
