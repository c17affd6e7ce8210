import { FINALIZER, type InstanceObject, type InventoryEntry, LABELS } from '@felucca/contract';
import { expect, test } from 'vitest';
import type { LiveObject, ObjectRef, ReconcilerCluster } from '../cluster.ts';
import type { InstanceContext } from './context.ts';
import { deleteInstance } from './delete-instance.ts';
import { RemovalWatch } from './removal-watch.ts';
import { RepairThrottle } from './repair-throttle.ts';
import { StatusPatience } from './status-patience.ts';

const UID = 'uid-1';
const entry = (kind: string, wave: number): InventoryEntry => ({
  node: kind.toLowerCase(),
  apiVersion: 'v1',
  kind,
  name: `site-${kind.toLowerCase()}`,
  wave,
  onDelete: 'Delete',
});
const INVENTORY = [entry('Secret', 0), entry('ConfigMap', 0), entry('Service', 1)];

const instance = (inventory: InventoryEntry[]): InstanceObject => ({
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Instance',
  metadata: {
    name: 'site',
    namespace: 'tenant-a',
    uid: UID,
    resourceVersion: '7',
    deletionTimestamp: '2026-01-01T00:00:00Z',
    finalizers: [FINALIZER],
  },
  spec: { blueprintRef: { name: 'web', version: '1.0.0' } },
  status: { observedGeneration: 1, inventory },
});

/** A cluster with the Instance and its children, in which what is deleted is going, and gone at the next look. */
function clusterWith(stored: InstanceObject) {
  const left = new Set(INVENTORY.map(({ name }) => name));
  const released: string[] = [];
  const cached: LiveObject[] = [];
  let reads = 0;
  let now = 0;
  const { uid = '' } = stored.metadata;
  let finalizers = stored.metadata.finalizers;
  const read = async ({ kind, name }: ObjectRef): Promise<LiveObject | undefined> => {
    reads += 1;
    if (kind === 'Instance') return stored as unknown as LiveObject;
    if (!left.has(name)) return undefined;
    const labels = { [LABELS.instanceUid]: uid, [LABELS.node]: kind.toLowerCase() };
    const ownerReferences = [{ apiVersion: 'felucca.dev/v1alpha1', kind: 'Instance', name: 'site', uid }];
    return { apiVersion: 'v1', kind, metadata: { name, uid: name, labels, ownerReferences } };
  };
  const cluster = {
    read,
    list: async () => [],
    remove: async ({ name }: ObjectRef) => {
      left.delete(name);
      return 'going';
    },
    apply: async () => stored,
    mergePatch: async ({ kind, name }: ObjectRef, { metadata }: { metadata: LiveObject['metadata'] }) => {
      if (kind === 'Instance') ({ finalizers } = metadata);
      else if (metadata.ownerReferences?.length === 0) released.push(name);
    },
  } as unknown as ReconcilerCluster;
  const context = {
    cluster,
    clock: () => new Date('2026-01-01T00:00:01Z'),
    children: () => cached,
    patience: new StatusPatience({ patienceMs: 0 }),
    removals: new RemovalWatch(() => now),
    throttle: new RepairThrottle(),
  } as unknown as InstanceContext;
  return {
    context,
    left,
    released,
    cached,
    reads: () => reads,
    pass: (ms: number) => (now += ms),
    hasFinalizer: () => finalizers?.includes(FINALIZER),
  };
}

test('children go wave by wave, and the finalizer when the last of them is gone', async () => {
  const { context, left, hasFinalizer } = clusterWith(instance(INVENTORY));
  const seen = [];
  for (let look = 0; look < 3; look += 1) {
    const { kind } = await deleteInstance(context, instance(INVENTORY));
    seen.push([kind, [...left], hasFinalizer()]);
  }
  expect(seen).toEqual([
    ['waiting', ['site-secret', 'site-configmap'], true],
    ['waiting', [], true],
    ['done', [], false],
  ]);
});

test('what stays loses its owner before the first wave goes: the garbage collector may be at work already', async () => {
  const retained = instance(INVENTORY);
  retained.spec = { blueprintRef: { name: 'web', version: '1.0.0' }, deletionPolicy: 'Retain' };
  const { context, left, released } = clusterWith(retained);
  await deleteInstance(context, retained);
  expect([[...left], released]).toEqual([['site-secret', 'site-configmap'], ['site-secret']]);
});

test('what is destroyed is read from the API server, whatever the cache says', async () => {
  const { context, left, hasFinalizer } = clusterWith(instance(INVENTORY));
  await deleteInstance(context, instance([]));
  expect([...left]).toEqual(['site-secret', 'site-configmap']);
  expect(hasFinalizer()).toBe(true);
});

test('another Instance has the name by now: nothing of it is touched', async () => {
  const { context, left } = clusterWith({
    ...instance(INVENTORY),
    metadata: { ...instance([]).metadata, uid: 'uid-2' },
  });
  expect(await deleteInstance(context, instance(INVENTORY))).toEqual({ kind: 'done' });
  expect(left.size).toBe(3);
});

test('nothing is read as long as the cache shows what is going, but for a look now and then', async () => {
  const { context, cached, left, reads, pass } = clusterWith(instance(INVENTORY));
  const look = async (order = instance(INVENTORY)): Promise<[number, unknown]> => {
    const before = reads();
    const outcome = await deleteInstance(context, order);
    return [reads() - before, 'afterMs' in outcome ? outcome.afterMs : outcome.kind];
  };
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'site-service', uid: 'site-service' },
  };
  cached.push(service);
  expect(await look(), 'the Instance, and the wave that goes').toEqual([2, 15_000]);
  pass(1_000);
  expect(await look()).toEqual([0, 14_000]);
  const changed = instance(INVENTORY);
  changed.metadata.generation = 2;
  expect((await look(changed))[0], 'the order was changed, and the next wave goes').toBe(4);
  cached.length = 0;
  left.delete('site-secret');
  expect((await look())[0], 'the cache has none of them').toBe(4);
});

test('a cache that shows what is long gone delays a deletion and does not hold it', async () => {
  const { context, cached, hasFinalizer, pass } = clusterWith(instance(INVENTORY.slice(2)));
  cached.push({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'site-service', uid: 'site-service' } });
  expect(await deleteInstance(context, instance(INVENTORY.slice(2)))).toMatchObject({ kind: 'waiting' });
  pass(14_999);
  expect(await deleteInstance(context, instance(INVENTORY.slice(2)))).toMatchObject({ afterMs: 1 });
  pass(1);
  expect(await deleteInstance(context, instance(INVENTORY.slice(2)))).toEqual({ kind: 'done' });
  expect(hasFinalizer()).toBe(false);
});
