import { ANNOTATIONS } from '../identity.ts';
import type { BlueprintNode } from '../resources/blueprint.ts';
import type { InstanceObject } from '../resources/object.ts';
import type { ChildState } from './child-state.ts';
import type { LiveObject } from './live-object.ts';

/**
 * The failure of a child that makes progress for longer than its deadline. Time counts from the last change of what
 * is wanted, kept on the child, or from when the Instance stopped being ready, whichever is later: a wrong value that
 * is put right gets all of its time, and so does a pod that is lost after months. Wall time, since it outlives us.
 */
export function overdue(
  {
    seconds,
    audience = 'operator',
    reason = 'DeadlineExceeded',
    message,
  }: NonNullable<BlueprintNode['deadline']>,
  live: LiveObject,
  instance: InstanceObject,
  now: Date,
  progress: string,
): ChildState | undefined {
  const changedAt =
    live.metadata.annotations?.[ANNOTATIONS.changedAt] ?? live.metadata.creationTimestamp ?? '';
  const ready = instance.status?.conditions?.find(({ type }) => type === 'Ready');
  const readyUntil = ready?.status === 'False' ? Date.parse(ready.lastTransitionTime) : now.getTime();
  const since = Math.max(Date.parse(changedAt) || 0, readyUntil);
  if (now.getTime() - since < seconds * 1000) return undefined;
  const what = `not ready within ${seconds} s: ${progress}`;
  return { state: 'failed', isLate: true, audience, reason, message: message ? `${what}; ${message}` : what };
}
