import {
  ANNOTATIONS,
  type BlueprintObject,
  blueprintObjectName,
  canonicalJson,
  FINALIZER,
  type InstanceObject,
  type KubeObject,
  organizationOf,
  shardOf,
  type TenantObject,
  tenantNamespace,
  traceOf,
} from '@felucca/contract';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { KubeClient } from '../runtime/client.ts';
import { coldCaches, staleCaches, whenWarm } from '../runtime/cold-cache.ts';
import { Controller } from '../runtime/controller.ts';
import type { RuntimeMetrics } from '../runtime/metrics.ts';
import { DONE, type Outcome } from '../runtime/outcome.ts';
import { objectKey, splitKey } from '../runtime/resources.ts';
import type { Shards } from '../runtime/shards.ts';
import type { Store, StoreEvent } from '../runtime/store.ts';
import type { Priority } from '../runtime/work-queue.ts';
import { ClusterTypes } from './blueprint/cluster-types.ts';
import { CompiledBlueprints } from './blueprint/compiled-blueprints.ts';
import { reconcileBlueprint } from './blueprint/reconcile-blueprint.ts';
import type { EmitEvent, Lookup } from './cluster.ts';
import { FailurePatience } from './failure.ts';
import { AppliedHashes } from './instance/applied-hashes.ts';
import { isInProgress } from './instance/in-progress.ts';
import type { OpenSealed } from './instance/open-parameters.ts';
import { reconcileInstance } from './instance/reconcile-instance.ts';
import { RemovalWatch } from './instance/removal-watch.ts';
import { RepairThrottle } from './instance/repair-throttle.ts';
import { StatusPatience } from './instance/status-patience.ts';
import { KubeReconcilerCluster } from './kube-cluster.ts';
import { countObjects, createReconcilerMetrics } from './reconciler-metrics.ts';
import type { OperatorIdentity } from './tenant/desired.ts';
import { reconcileTenant } from './tenant/reconcile-tenant.ts';
import { WatchedTenantObjects } from './tenant/watched.ts';
import { type CreateReflector, WatchedObjects } from './watched-objects.ts';

export type { OperatorIdentity } from './tenant/desired.ts';
export type { CreateReflector } from './watched-objects.ts';

export interface ReconcilersOptions {
  shards: Pick<Shards, 'count' | 'holds' | 'within'>;
  /** Writes by the right of a shard. */
  clientOf(shard: number): KubeClient;
  /** Warm caches of our own kinds, shared with the sync and the reports. */
  stores: {
    instances: Store<InstanceObject>;
    blueprints: Store<BlueprintObject>;
    tenants: Store<TenantObject>;
  };
  /** Told of what was written, for those caches. */
  learn(written: KubeObject): void;
  /** Watches for the children are made with it and run here. */
  createReflector: CreateReflector;
  operator: OperatorIdentity;
  /** With the keys of this data plane. */
  open: OpenSealed;
  emit: EmitEvent;
  metrics: RuntimeMetrics;
  registry: Registry;
  log: Logger;
  workers: number;
  /** Everything is looked at again in this time, which is how a change of a Secret is found. Default 10 min. */
  resyncMs?: number;
  clock?: () => Date;
}

export interface Reconcilers {
  /** Resolves when the children's caches are warm. */
  readonly synced: Promise<unknown>;
  /** Why nothing can be reconciled; undefined when all is well, or before it watches. */
  waitsFor(): string | undefined;
  /** Which watches have been silent for longer than this; undefined when none, or before it watches. */
  staleFor(limitMs: number): string | undefined;
  /** Keeps the children's caches; resolves when the signal aborted and all ended. */
  watch(signal: AbortSignal): Promise<void>;
  /**
   * Until the children's caches go back to lists that were asked for at this time of the clock or later.
   * @throws when one does not get there.
   */
  listedSince(sinceMs: number, signal: AbortSignal): Promise<void>;
  /** Reconciles once all caches are warm; resolves when the signal aborted and all ended. */
  run(signal: AbortSignal): Promise<void>;
  /** A shard is ours now: everything that belongs to it is looked at. */
  resume(shard: number): void;
}

const RESYNC_MS = 600_000;

/** Tenant, Blueprint and Instance controllers with their watches. */
export function createReconcilers(options: ReconcilersOptions): Reconcilers {
  const { stores, shards, emit, log, metrics, workers } = options;
  const clock = options.clock ?? (() => new Date());
  const watched = new WatchedObjects(options.createReflector, stores.instances);
  const guardRails = new WatchedTenantObjects(options.createReflector);
  const clusterOver = (client: KubeClient): KubeReconcilerCluster =>
    new KubeReconcilerCluster(client, (written) => {
      for (const cache of [options, watched, guardRails]) cache.learn(written);
    });
  const clusters = Array.from({ length: shards.count }, (_, shard) => clusterOver(options.clientOf(shard)));
  /** By the right of a shard: for the time of one reconcile, and for what is told after it. */
  const clustersOf = (shard: number, signal: AbortSignal) => ({
    cluster: clusterOver(options.clientOf(shard).until(signal)),
    afterwards: clusters[shard]!,
  });
  // Tenants and Blueprints are few, and belong to the first shard.
  const cluster = clusters[0]!;
  const first = async (work: () => Promise<Outcome>): Promise<Outcome> =>
    (await shards.within(0, work)) ?? DONE;
  const compiled = new CompiledBlueprints();
  const types = new ClusterTypes(cluster);
  const { instances: Instance, tenants: Tenant, blueprints: Blueprint } = stores;
  countObjects({ Instance, Tenant, Blueprint }, options.registry);
  const failures = new FailurePatience();
  const throttle = new RepairThrottle();
  const driftMetrics = createReconcilerMetrics(options.registry);
  const instanceContext = {
    instances: lookup(stores.instances),
    blueprints: lookup(stores.blueprints),
    tenants: lookup(stores.tenants),
    children: (uid: string) => watched.children(uid),
    pods: (uid: string) => watched.pods(uid),
    claims: (namespace: string, name: string) => watched.claims(namespace, name),
    compiled,
    throttle,
    applied: new AppliedHashes(),
    patience: new StatusPatience(),
    removals: new RemovalWatch(),
    failures,
    open: options.open,
    emit,
    metrics: driftMetrics,
    clock,
  };
  const tenantContext = {
    tenants: lookup(stores.tenants),
    operator: options.operator,
    failures,
    throttle,
    metrics: driftMetrics,
    emit,
    clock,
  };
  const tenants = new Controller({
    name: 'tenant',
    log,
    metrics,
    maxConcurrentReconciles: Math.min(workers, 4),
    reconcile: (key, { signal }) =>
      first(() => reconcileTenant({ ...tenantContext, ...clustersOf(0, signal) }, key)),
  });
  const blueprints = new Controller({
    name: 'blueprint',
    log,
    metrics,
    reconcile: (key) =>
      first(() =>
        reconcileBlueprint(
          { cluster, blueprints: lookup(stores.blueprints), compiled, types, emit, clock },
          key,
        ),
      ),
  });
  stores.instances.onEvent(({ type, object, before }) => {
    const uid = before?.metadata.uid;
    if (uid === undefined || (type !== 'deleted' && object.metadata.uid === uid)) return;
    const { patience, removals, throttle } = instanceContext;
    for (const memory of [patience, removals, failures]) memory.forget(uid);
    throttle.forget(`${uid}/`);
  });
  const shardOfKey = (key: string): number | undefined => {
    const uid = stores.instances.get(key)?.metadata.uid;
    return uid === undefined ? undefined : shardOf(uid, shards.count);
  };
  const instances = new Controller({
    name: 'instance',
    log,
    metrics,
    maxConcurrentReconciles: workers,
    flowOf: (key) => splitKey(key).namespace ?? '',
    describe: (key) => traceOf(stores.instances.get(key)?.metadata.annotations?.[ANNOTATIONS.traceparent]),
    reconcile: async (key, { signal }) => {
      const { namespace = '', name } = splitKey(key);
      const shard = shardOfKey(key);
      if (shard === undefined) return DONE;
      const work = (): Promise<Outcome> =>
        reconcileInstance({ ...instanceContext, ...clustersOf(shard, signal) }, namespace, name);
      return (await shards.within(shard, work)) ?? DONE;
    },
  });
  /** What others work on is not even queued; what becomes ours is looked at by `resume`. */
  const whatIsOurs = (controller: Controller, shardFor: (key: string) => number | undefined): Enqueue => ({
    enqueue(key, how) {
      const shard = shardFor(key);
      if (shard !== undefined && shards.holds(shard)) controller.enqueue(key, how);
    },
  });
  const ours = {
    tenants: whatIsOurs(tenants, () => 0),
    blueprints: whatIsOurs(blueprints, () => 0),
    instances: whatIsOurs(instances, shardOfKey),
  };
  connect(stores, watched, ours);
  guardRails.onChange((tenant) => {
    if (stores.tenants.get(tenant)) ours.tenants.enqueue(tenant, { priority: 'repair' });
  });

  const reflectors = [...watched.reflectors, ...guardRails.reflectors];
  const caches = [
    stores.instances,
    stores.blueprints,
    stores.tenants,
    ...reflectors.map((item) => item.store),
  ];
  const synced = Promise.all(caches.map((store) => store.synced));
  let watching = false;
  return {
    synced,
    waitsFor: () => (watching ? coldCaches(reflectors) : undefined),
    staleFor: (limitMs) => (watching ? staleCaches(reflectors, limitMs) : undefined),
    async watch(signal) {
      watching = true;
      await Promise.all(reflectors.map((reflector) => reflector.run(signal)));
    },
    async listedSince(sinceMs, signal) {
      await Promise.all(reflectors.map((reflector) => reflector.listedSince(sinceMs, signal)));
    },
    async run(signal) {
      // A cold cache would show children as missing: correct, but a read for each of them.
      await whenWarm(synced, reflectors, { log, signal });
      const resync = setInterval(() => {
        for (const instance of stores.instances.list())
          ours.instances.enqueue(objectKey(instance.metadata), { priority: 'resync' });
        for (const tenant of stores.tenants.list())
          ours.tenants.enqueue(tenant.metadata.name, { priority: 'resync' });
      }, options.resyncMs ?? RESYNC_MS);
      await Promise.all([tenants.run(signal), blueprints.run(signal), instances.run(signal)]);
      clearInterval(resync);
    },
    resume(shard) {
      // What somebody waits for goes before what is only looked at again.
      const priorityOf = ({
        metadata,
        status,
      }: KubeObject<unknown, { observedGeneration?: number }>): Priority =>
        status?.observedGeneration === metadata.generation ? 'resync' : 'user';
      if (shard === 0)
        for (const [store, controller] of [
          [stores.tenants, tenants],
          [stores.blueprints, blueprints],
        ] as const)
          for (const object of store.list())
            controller.enqueue(object.metadata.name, { priority: priorityOf(object) });
      for (const object of stores.instances.list()) {
        const key = objectKey(object.metadata);
        if (shardOfKey(key) === shard) instances.enqueue(key, { priority: priorityOf(object) });
      }
    },
  };
}

type Enqueue = Pick<Controller, 'enqueue'>;

function connect(
  stores: ReconcilersOptions['stores'],
  watched: WatchedObjects,
  controllers: Record<'tenants' | 'blueprints' | 'instances', Enqueue>,
): void {
  const { tenants, blueprints, instances } = controllers;
  stores.tenants.onEvent((event) => {
    const { name } = event.object.metadata;
    if (isNews(event)) tenants.enqueue(name, { priority: priorityOf(event) });
    if (event.initial || readyOf(event.before) === readyOf(event.object)) return;
    for (const instance of stores.instances.list())
      if (instance.metadata.namespace === tenantNamespace(name))
        instances.enqueue(objectKey(instance.metadata));
  });
  stores.blueprints.onEvent((event) => {
    if (!isNews(event)) return;
    const { name } = event.object.metadata;
    blueprints.enqueue(name, { priority: priorityOf(event) });
    if (event.initial) return;
    for (const { metadata, spec } of stores.instances.list())
      if (spec && blueprintObjectName(spec.blueprintRef.name, spec.blueprintRef.version) === name)
        instances.enqueue(objectKey(metadata), { priority: 'repair' });
  });
  stores.instances.onEvent((event) => {
    if (isNews(event)) instances.enqueue(event.key, { priority: priorityOf(event) });
    if (event.type !== 'deleted') return;
    const tenant = stores.tenants.get(organizationOf(event.object.metadata.namespace) ?? '');
    if (tenant?.metadata.deletionTimestamp) tenants.enqueue(tenant.metadata.name);
  });
  watched.onEvent((key, event) => {
    // Whoever wrote it goes on from the answer.
    if (event.own) return;
    const isBegun = !event.initial && isInProgress(stores.instances.get(key));
    instances.enqueue(key, { priority: event.initial ? 'resync' : isBegun ? 'finish' : 'repair' });
  });
}

const priorityOf = (event: { initial: boolean }): Priority => (event.initial ? 'resync' : 'user');

/** Our own status writes come back as events; they say nothing that a reconcile would act on. */
function isNews(event: StoreEvent<KubeObject<unknown, { desired?: unknown }>>): boolean {
  const { before, object, type } = event;
  if (type !== 'updated' || !before) return true;
  const a = before.metadata;
  const b = object.metadata;
  return (
    a.generation !== b.generation ||
    a.deletionTimestamp !== b.deletionTimestamp ||
    a.uid !== b.uid ||
    (before.status?.desired === undefined) !== (object.status?.desired === undefined) ||
    isOthersWork(a, b)
  );
}

/** What we write ahead, and by which term, is no news to ourselves; our finalizer is when it is lost. */
function isOthersWork(before: KubeObject['metadata'], after: KubeObject['metadata']): boolean {
  const seen = ({ annotations, labels }: KubeObject['metadata']): string => {
    const { [ANNOTATIONS.inventory]: _, [ANNOTATIONS.term]: __, ...others } = annotations ?? {};
    return canonicalJson([others, labels ?? {}]);
  };
  const hasOurs = ({ finalizers }: KubeObject['metadata']): boolean =>
    finalizers?.includes(FINALIZER) ?? false;
  return seen(before) !== seen(after) || (hasOurs(before) && !hasOurs(after));
}

const readyOf = (object: TenantObject | undefined): string | undefined =>
  object?.status?.conditions?.find((condition) => condition.type === 'Ready')?.status;

const lookup = <T extends KubeObject>(store: Store<T>): Lookup<T> => ({
  get: (namespace, name) => store.get(namespace ? `${namespace}/${name}` : name),
});
