import type { InstanceObject } from '@felucca/contract';

/**
 * Children are coming up or going away: a few more looks, and it is done. One that failed is no nearer to its end. A
 * status that says only this much is put off (StatusPatience), so an order that no status has told of yet counts too.
 */
export function isInProgress(instance: InstanceObject | undefined): boolean {
  const { metadata, status } = instance ?? {};
  if (metadata?.deletionTimestamp || status?.observedGeneration !== metadata?.generation) return true;
  const ready = status?.conditions?.find((condition) => condition.type === 'Ready');
  return !ready || ready.reason === 'ChildrenProgressing' || ready.reason === 'WaitingForField';
}
