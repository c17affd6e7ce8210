import { type InstanceObject, isOurs, isRecord, podFailures } from '@felucca/contract';
import { type LiveObject, refOf } from '../cluster.ts';
import type { InstanceContext } from './context.ts';

/** A pod that is only slow gets so long; longer than most recoveries after a crash take. */
const UNREADY_MS = 300_000;
const REVISION = 'controller-revision-hash';

/**
 * A StatefulSet waits for each pod to be ready before it goes on, also for one that never will be: the corrected
 * template then never reaches it (kubernetes.io/docs, "Forced rollback"). Such a pod is deleted, and its controller
 * makes it by the new template. Volumes stay.
 */
export async function unstickRollouts(
  context: InstanceContext,
  instance: InstanceObject,
  children: Iterable<LiveObject>,
): Promise<void> {
  const { uid = '', namespace = '' } = instance.metadata;
  const pods = [...context.pods(uid)];
  for (const child of children) {
    const name = child.kind === 'StatefulSet' && stuckPod(child, pods, context.clock())?.metadata.name;
    if (!name) continue;
    // Never on the word of a cache.
    const { apiVersion, kind } = child;
    const [set, pod] = await Promise.all([
      context.cluster.read({ apiVersion, kind, namespace, name: child.metadata.name }),
      context.cluster.read({ apiVersion: 'v1', kind: 'Pod', namespace, name }),
    ]);
    if (!set || !pod || !isOurs(pod, uid) || !stuckPod(set, [pod], context.clock())) continue;
    await context.cluster.remove(refOf(pod), pod.metadata.uid ?? '', 'Background');
    context.emit(instance, {
      type: 'Normal',
      reason: 'StuckPodReplaced',
      message: `pod ${name} of an earlier version never became ready, and StatefulSet/${child.metadata.name} waited for it; it is made anew`,
    });
  }
}

/** The pod of an earlier template that keeps a StatefulSet from going on, if there is one. Pure. */
export function stuckPod(set: LiveObject, pods: readonly LiveObject[], now: Date): LiveObject | undefined {
  const { spec = {}, status = {}, metadata } = set;
  const strategy = isRecord(spec.updateStrategy) ? spec.updateStrategy : {};
  const rolling = isRecord(strategy.rollingUpdate) ? strategy.rollingUpdate : {};
  if (spec.podManagementPolicy === 'Parallel' || strategy.type === 'OnDelete' || metadata.deletionTimestamp)
    return undefined;
  if (status.observedGeneration !== metadata.generation || typeof status.updateRevision !== 'string')
    return undefined;
  const partition = typeof rolling.partition === 'number' ? rolling.partition : 0;
  return pods
    .filter((pod) => ordinalOf(pod, metadata.name) >= partition)
    .filter((pod) => pod.metadata.labels?.[REVISION] !== status.updateRevision)
    .toSorted((a, b) => ordinalOf(a, metadata.name) - ordinalOf(b, metadata.name))
    .find((pod) => !pod.metadata.deletionTimestamp && willNotBeReady(pod, now));
}

/** -1: not a pod of this set. */
function ordinalOf({ metadata }: LiveObject, set: string): number {
  const ordinal = metadata.name.startsWith(`${set}-`) ? metadata.name.slice(set.length + 1) : '';
  return /^\d+$/.test(ordinal) ? Number(ordinal) : -1;
}

function willNotBeReady(pod: LiveObject, now: Date): boolean {
  const conditions = Array.isArray(pod.status?.conditions) ? pod.status.conditions.filter(isRecord) : [];
  const ready = conditions.find((condition) => condition.type === 'Ready');
  if (ready?.status === 'True') return false;
  if (podFailures([pod], now).some((failure) => failure.certain)) return true;
  const since = Date.parse(String(ready?.lastTransitionTime));
  return now.getTime() - since >= UNREADY_MS;
}
