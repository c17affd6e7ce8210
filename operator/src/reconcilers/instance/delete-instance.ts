import { type InstanceObject, inventoryOf, policyOf } from '@felucca/contract';
import { DONE, type Outcome } from '../../runtime/outcome.ts';
import { announcement } from '../announcement.ts';
import { ClusterError, refOf } from '../cluster.ts';
import { hasFinalizer, removeOurFinalizer } from '../finalizer.ts';
import { writeStatus } from '../status-writer.ts';
import { instanceConditions } from './conditions.ts';
import type { InstanceContext } from './context.ts';
import { type RemovalProgress, removeChildren } from './remove-children.ts';

/** How soon to look again although no event said that all is gone; of a Secret none would. */
const RECHECK_MS = 15_000;
const RECHECK_UNWATCHED_MS = 2_000;

/** Children in reverse waves from the inventory, then the finalizer. Pausing and errors never block it. */
export async function deleteInstance(context: InstanceContext, cached: InstanceObject): Promise<Outcome> {
  const uid = cached.metadata.uid ?? '';
  const waitMs = context.removals.waitMs(cached, context.children(uid));
  if (waitMs > 0) return { kind: 'waiting', afterMs: waitMs, why: 'children are going away' };
  // The inventory decides what is destroyed: never from a cache.
  const instance = (await context.cluster.read(refOf(cached))) as InstanceObject | undefined;
  if (!instance || instance.metadata.uid !== uid) return DONE;
  if (!hasFinalizer(instance)) return DONE;
  const inventory = inventoryOf(instance);
  const progress = await removeOrSkip(context, instance, inventory);
  const { going, blocked } = progress;
  if (going.length === 0) {
    await removeOurFinalizer(context.cluster, instance);
    return DONE;
  }
  const names = going.slice(0, 5).map(({ kind, metadata }) => `${kind}/${metadata.name}`);
  const message = `waiting for ${names.join(', ')} to go away`;
  const recheckMs = going.some(({ kind }) => kind === 'Secret') ? RECHECK_UNWATCHED_MS : RECHECK_MS;
  const patienceMs = blocked ? 0 : context.patience.waitMs(instance);
  if (patienceMs === 0) await tellDeletion(context, instance, blocked ? { message, blocked } : { message });
  const afterMs = patienceMs > 0 ? Math.min(patienceMs, recheckMs) : recheckMs;
  context.removals.looked(instance, going, afterMs);
  return { kind: 'waiting', afterMs, why: message };
}

async function tellDeletion(
  context: InstanceContext,
  instance: InstanceObject,
  deletion: { message: string; blocked?: string },
): Promise<void> {
  const conditions = instanceConditions(
    instance,
    {
      waiting: [],
      nodes: [],
      podFailures: [],
      suspended: false,
      deletion,
    },
    context.clock(),
  );
  const status = { ...instance.status, conditions, observedGeneration: instance.metadata.generation ?? 0 };
  const { desired: _, ...ours } = status;
  const written = await writeStatus(context.cluster, instance, ours);
  context.patience.told(instance);
  const event = written && announcement(instance.status?.conditions ?? [], conditions);
  if (event) context.emit(instance, event);
}

async function removeOrSkip(
  context: InstanceContext,
  instance: InstanceObject,
  inventory: Parameters<typeof removeChildren>[2],
): Promise<RemovalProgress> {
  try {
    const policy = policyOf(instance.spec);
    return await removeChildren(context.cluster, instance, inventory, policy, context.clock());
  } catch (error) {
    if (!(error instanceof ClusterError) || error.status !== 403) throw error;
    // A namespace on its way out has lost our RoleBinding; it takes the children with it.
    const name = instance.metadata.namespace ?? '';
    const namespace = await context.cluster.read({ apiVersion: 'v1', kind: 'Namespace', name });
    if (namespace && !namespace.metadata.deletionTimestamp) throw error;
    return { left: [], going: [] };
  }
}
