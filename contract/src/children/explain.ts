import { isRecord } from '../blueprint/problem.ts';
import { LABELS } from '../identity.ts';
import { type LiveObject, partOf } from './live-object.ts';
import type { PodFailure } from './pod-failures.ts';

/** Before this a start is only slow, and nobody needs to be asked. */
const STUCK_AFTER_MS = 10_000;
/** Kinds whose controllers say in Events, and nowhere else, why they make no pods. */
const MAKES_PODS = ['StatefulSet', 'Job'];
const CERTAIN = ['FailedCreate'];

/**
 * The object whose Events tell why nothing happens: a pod that is scheduled and does not start, or a child whose
 * pods are not made. Undefined while nothing is stuck. Pure.
 */
export function stuckObject(
  children: Iterable<LiveObject>,
  pods: readonly LiveObject[],
  now: Date,
): LiveObject | undefined {
  const isOld = (object: LiveObject): boolean =>
    now.getTime() - Date.parse(object.metadata.creationTimestamp ?? '') >= STUCK_AFTER_MS;
  const pod = pods.find(
    (item) => !item.metadata.deletionTimestamp && isOld(item) && isScheduled(item) && isNotStarted(item),
  );
  if (pod) return pod;
  const withPods = new Set(pods.map(partOf));
  for (const child of children)
    if (
      MAKES_PODS.includes(child.kind) &&
      isOld(child) &&
      wantedPods(child) > 0 &&
      !withPods.has(partOf(child))
    )
      return child;
  return undefined;
}

const isScheduled = (pod: LiveObject): boolean => typeof pod.spec?.nodeName === 'string';
const isNotStarted = (pod: LiveObject): boolean => pod.status?.phase === 'Pending';
const wantedPods = ({ kind, spec }: LiveObject): number =>
  kind === 'Job' ? Number(spec?.suspend !== true) : typeof spec?.replicas === 'number' ? spec.replicas : 1;

/** The newest warning about `object` as something that keeps the Instance from being ready. */
export function explained(object: LiveObject, warnings: readonly LiveObject[]): PodFailure | undefined {
  const newest = warnings.toSorted((a, b) => timeOf(b) - timeOf(a))[0];
  if (!newest) return undefined;
  const reason = String(newest.reason ?? '');
  const message = String(newest.message ?? '').slice(0, 500);
  const isQuota = message.includes('exceeded quota');
  return {
    node: object.metadata.labels?.[LABELS.node] ?? '',
    ...(object.kind === 'Pod' ? { pod: object.metadata.name } : {}),
    audience: isQuota ? 'tenant' : 'operator',
    certain: CERTAIN.includes(reason),
    message: `${object.kind} ${object.metadata.name}: ${reason}: ${message}`,
    ...(isQuota ? { remedy: "choose a smaller size, or have the Tenant's quota raised" } : {}),
  };
}

function timeOf(event: LiveObject): number {
  const series = isRecord(event.series) ? event.series.lastObservedTime : undefined;
  const text = series ?? event.lastTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp;
  return Date.parse(String(text)) || 0;
}
