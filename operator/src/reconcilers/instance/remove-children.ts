import {
  type DeletionPolicy,
  type InstanceObject,
  type InventoryEntry,
  LABELS,
  outlives,
} from '@felucca/contract';
import { allEnded } from '../all-ended.ts';
import { ClusterError, type LiveObject, type ReconcilerCluster, refOf } from '../cluster.ts';
import { blockedBy, type DeletionFact, type DeletionPlan, isOwned, planDeletion } from './deletion.ts';

export interface RemovalProgress {
  /** Entries that may still exist. */
  left: InventoryEntry[];
  /** What is going away and still there. */
  going: LiveObject[];
  blocked?: string;
}

const WORKLOADS = ['Deployment', 'StatefulSet', 'Job', 'CronJob'];
const CLAIM = 'PersistentVolumeClaim';

/**
 * One step of taking children away, each by UID and after a quorum read: wave after wave, the highest first, down to the
 * one of which something is only going. Called again until nothing is left.
 */
export async function removeChildren(
  cluster: ReconcilerCluster,
  instance: InstanceObject,
  entries: readonly InventoryEntry[],
  policy: DeletionPolicy,
  now: Date,
): Promise<RemovalProgress> {
  const { uid = '', namespace = '' } = instance.metadata;
  const plan = (facts: readonly DeletionFact[]): DeletionPlan => planDeletion(uid, policy, facts);
  // First what stays: a build before this one gave it an owner, and the garbage collector takes what is owned.
  const staying = entries.filter((entry) => outlives(entry, policy));
  const { release } = plan(await readEntries(cluster, namespace, staying));
  for (const object of release) await releaseChild(cluster, object, uid);
  const leaving = entries.filter((entry) => !outlives(entry, policy));
  for (const wave of wavesOf(leaving)) {
    const inWave = leaving.filter((entry) => entry.wave === wave);
    const step = plan(await readEntries(cluster, namespace, inWave));
    const going = await removeNow(cluster, step);
    if (going.length > 0)
      return {
        left: leaving.filter((entry) => entry.wave < wave || step.leaving.includes(entry)),
        ...progress(going, step, now),
      };
  }
  const step = plan(await volumesOfStatefulSets(cluster, namespace, uid, entries));
  return { left: [], ...progress(await removeNow(cluster, step), step, now) };
}

const wavesOf = (entries: readonly InventoryEntry[]): number[] =>
  [...new Set(entries.map((entry) => entry.wave))].sort((a, b) => b - a);

function progress(
  going: LiveObject[],
  { waiting }: DeletionPlan,
  now: Date,
): Pick<RemovalProgress, 'going' | 'blocked'> {
  const blocked = waiting.map((object) => blockedBy(object, now)).find((text) => text !== undefined);
  return { going, ...(blocked ? { blocked } : {}) };
}

/** Returns what is still there afterwards. */
async function removeNow(cluster: ReconcilerCluster, plan: DeletionPlan): Promise<LiveObject[]> {
  const progress = await allEnded(
    plan.remove.map((object) =>
      cluster.remove(
        refOf(object),
        object.metadata.uid ?? '',
        WORKLOADS.includes(object.kind) ? 'Foreground' : 'Background',
      ),
    ),
  );
  return [...plan.remove.filter((_, index) => progress[index] === 'going'), ...plan.waiting];
}

const readEntries = (
  cluster: ReconcilerCluster,
  namespace: string,
  entries: readonly InventoryEntry[],
): Promise<DeletionFact[]> =>
  Promise.all(
    entries.map(async (entry) => {
      const { apiVersion, kind, name } = entry;
      const live = await cluster.read({ apiVersion, kind, namespace, name });
      return live ? { entry, live } : { entry };
    }),
  );

/** A StatefulSet's volumes are made by its controller: they are not in the inventory but carry our label. */
async function volumesOfStatefulSets(
  cluster: ReconcilerCluster,
  namespace: string,
  uid: string,
  entries: readonly InventoryEntry[],
): Promise<DeletionFact[]> {
  const sets = entries.filter((entry) => entry.kind === 'StatefulSet');
  if (sets.length === 0) return [];
  const claims = await cluster.list('v1', CLAIM, namespace, `${LABELS.instanceUid}=${uid}`);
  const listed = new Set(entries.filter((entry) => entry.kind === CLAIM).map((entry) => entry.name));
  return claims.flatMap((live) => {
    const { labels } = live.metadata;
    const set = sets.find(
      (entry) => entry.node === labels?.[LABELS.node] && entry.key === labels?.[LABELS.key],
    );
    const { name, uid: claimUid } = live.metadata;
    if (!set || listed.has(name) || !isClaimOf(set.name, name)) return [];
    const entry: InventoryEntry = {
      node: set.node,
      apiVersion: 'v1',
      kind: CLAIM,
      name,
      ...(claimUid ? { uid: claimUid } : {}),
      wave: -1,
      onDelete: set.onDelete,
    };
    return [{ entry, live }];
  });
}

/** `<template>-<set>-<ordinal>`: with our labels alone, a claim may be anybody's. */
const isClaimOf = (set: string, claim: string): boolean =>
  claim.includes(`-${set}-`) && /^\d+$/.test(claim.slice(claim.lastIndexOf(`-${set}-`) + set.length + 2));

/** Without the owner the garbage collector leaves it; the labels stay, so that people see where it comes from. */
async function releaseChild(cluster: ReconcilerCluster, object: LiveObject, uid: string): Promise<void> {
  if (!isOwned(object, uid)) return;
  const ownerReferences = (object.metadata.ownerReferences ?? []).filter((owner) => owner.uid !== uid);
  const { uid: own, resourceVersion } = object.metadata;
  try {
    await cluster.mergePatch(refOf(object), { metadata: { uid: own, resourceVersion, ownerReferences } });
  } catch (error) {
    if (!(error instanceof ClusterError) || error.status !== 404) throw error;
  }
}
