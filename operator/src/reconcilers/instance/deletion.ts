import {
  type DeletionPolicy,
  type InventoryEntry,
  LABELS,
  outlives,
  pendingFinalizers,
} from '@felucca/contract';
import type { LiveObject } from '../cluster.ts';

/** An inventory entry with what a quorum read found under its name. */
export interface DeletionFact {
  entry: InventoryEntry;
  live?: LiveObject;
}

export interface DeletionPlan {
  /** Objects to delete now. */
  remove: LiveObject[];
  /** Objects that stay and lose their owner, so that the garbage collector leaves them alone. */
  release: LiveObject[];
  /** Asked to go and still there. */
  waiting: LiveObject[];
  /** Entries of everything that leaves and is still there. */
  leaving: InventoryEntry[];
}

/** What to do next to take some children of an Instance away. Pure; with nothing in it, they are all gone. */
export function planDeletion(
  instanceUid: string,
  policy: DeletionPolicy,
  facts: readonly DeletionFact[],
): DeletionPlan {
  const plan: DeletionPlan = { remove: [], release: [], waiting: [], leaving: [] };
  for (const { entry, live } of facts) {
    if (!live || !isSame(entry, live, instanceUid)) continue;
    if (outlives(entry, policy)) {
      if (isOwned(live, instanceUid)) plan.release.push(live);
      continue;
    }
    plan.leaving.push(entry);
    (live.metadata.deletionTimestamp ? plan.waiting : plan.remove).push(live);
  }
  return plan;
}

/**
 * An entry without UID was written ahead of an apply that may or may not have happened, and one with a UID may have been
 * made again since: then the labels say whose the object is. What has another controller is never ours.
 */
function isSame(entry: InventoryEntry, live: LiveObject, instanceUid: string): boolean {
  const { uid, labels = {}, ownerReferences = [] } = live.metadata;
  if (ownerReferences.some((owner) => owner.controller && owner.uid !== instanceUid)) return false;
  if (entry.uid !== undefined && uid === entry.uid) return true;
  return labels[LABELS.instanceUid] === instanceUid && labels[LABELS.node] === entry.node;
}

export const isOwned = (live: LiveObject, instanceUid: string): boolean =>
  (live.metadata.ownerReferences ?? []).some((owner) => owner.uid === instanceUid);

/** After this long a person should look at what blocks it. */
export const BLOCKED_AFTER_MS = 30_000;

/** What keeps an object from going away, for a person; undefined while it is only slow. */
export function blockedBy(live: LiveObject, now: Date): string | undefined {
  const since = live.metadata.deletionTimestamp;
  if (!since || now.getTime() - Date.parse(since) < BLOCKED_AFTER_MS) return undefined;
  const finalizers = pendingFinalizers(live);
  const cause =
    finalizers.length > 0
      ? `its finalizers ${finalizers.join(', ')} wait for their controllers; look there, or remove them by hand if those are gone`
      : 'its own children have not gone yet; look at its pods and their node';
  return `${live.kind}/${live.metadata.name} has been terminating since ${since}: ${cause}`;
}
