import { API_VERSION, type KubeObject, LABELS } from '@felucca/contract';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import type { KubeClient } from '../runtime/client.ts';
import { systemClock } from '../runtime/clock.ts';
import { RuntimeMetrics } from '../runtime/metrics.ts';
import type { ReflectorOptions } from '../runtime/reflector.ts';
import { ObjectStore } from '../runtime/store.ts';
import { createUnsealer } from '../sync/unsealer.ts';
import { createReconcilers, type ReconcilersOptions } from './index.ts';

const log = pino({ level: 'silent' });
const storeOf = (): ObjectStore<KubeObject> => new ObjectStore({ clock: systemClock, log });

/** Reconcilers whose workers do not run, over caches that a test fills, and how many keys wait in each queue. */
function standby() {
  const registry = new Registry();
  const held = new Set<number>();
  const stores = { instances: storeOf(), blueprints: storeOf(), tenants: storeOf() };
  const namespaces = storeOf();
  const reconcilers = createReconcilers({
    shards: { count: 2, holds: (shard) => held.has(shard), within: async (_, work) => work() },
    clientOf: () => ({}) as KubeClient,
    stores: stores as unknown as ReconcilersOptions['stores'],
    learn: () => undefined,
    createReflector: (({ gvr }: ReflectorOptions<KubeObject>) => ({
      kind: gvr.kind,
      store: gvr.kind === 'Namespace' ? namespaces : storeOf(),
    })) as unknown as ReconcilersOptions['createReflector'],
    operator: { namespace: 'felucca-system', serviceAccount: 'operator', tenantClusterRole: 'tenant' },
    open: createUnsealer({ read: async () => undefined }),
    emit: () => undefined,
    metrics: new RuntimeMetrics(registry),
    registry,
    log,
    workers: 1,
  });
  const put = (
    store: ObjectStore<KubeObject>,
    kind: string,
    metadata: KubeObject['metadata'],
    version = 1,
  ): void =>
    store.put(
      metadata.namespace ? `${metadata.namespace}/${metadata.name}` : metadata.name,
      {
        apiVersion: API_VERSION,
        kind,
        metadata: { ...metadata, resourceVersion: String(version), generation: version },
      },
      false,
    );
  return {
    held,
    reconcilers,
    changeAll: (version: number): void => {
      put(stores.tenants, 'Tenant', { name: 'acme', uid: 'tenant' }, version);
      put(stores.blueprints, 'Blueprint', { name: 'web-1-0-0', uid: 'blueprint' }, version);
      // By its UID of the shard 1.
      put(stores.instances, 'Instance', { name: 'db', namespace: 'tenant-acme', uid: '00000001-' }, version);
      put(
        namespaces,
        'Namespace',
        { name: 'tenant-acme', uid: 'n', labels: { [LABELS.tenant]: 'acme' } },
        version,
      );
    },
    depths: async (): Promise<Record<string, number>> => {
      const depths: Record<string, number> = {};
      for (const { labels, value } of (await registry.getSingleMetric('workqueue_depth')!.get()).values)
        depths[String(labels['controller'])] = (depths[String(labels['controller'])] ?? 0) + value;
      return depths;
    },
  };
}

test('who stands by queues nothing, and everything of a shard once it leads', async () => {
  const { held, reconcilers, changeAll, depths } = standby();
  for (const version of [1, 2]) changeAll(version);
  expect(await depths()).toEqual({ tenant: 0, blueprint: 0, instance: 0 });
  held.add(1);
  reconcilers.resume(1);
  changeAll(3);
  expect(await depths()).toEqual({ tenant: 0, blueprint: 0, instance: 1 });
  held.add(0);
  reconcilers.resume(0);
  expect(await depths()).toEqual({ tenant: 1, blueprint: 1, instance: 1 });
});
