import { ANNOTATIONS, type BlueprintNode, type DesiredChild, type LiveObject } from '@felucca/contract';
import { isApplied } from './plan.ts';

/** A child with a deadline says since when it is wanted like this: in the write that changes it, and never alone. */
export function withChangeTime(
  child: DesiredChild,
  { deadline }: BlueprintNode,
  live: LiveObject | undefined,
  now: Date,
): DesiredChild {
  if (!deadline) return child;
  const kept =
    live && isApplied(live, child.hash) ? live.metadata.annotations?.[ANNOTATIONS.changedAt] : undefined;
  const { object } = child;
  const annotations = { ...object.metadata.annotations, [ANNOTATIONS.changedAt]: kept ?? now.toISOString() };
  return { ...child, object: { ...object, metadata: { ...object.metadata, annotations } } };
}
