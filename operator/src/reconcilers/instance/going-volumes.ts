import { type DriftRecord, type InstanceObject, LABELS } from '@felucca/contract';
import type { LiveObject } from '../cluster.ts';
import type { InstanceContext } from './context.ts';
import { claimsInUse } from './take-up-claims.ts';

/**
 * Claims that a StatefulSet of this Instance uses and that somebody is deleting. They stay until their pod ends, everything
 * looks ready meanwhile, and the next pod gets an empty volume.
 */
export const goingVolumes = (
  context: InstanceContext,
  instance: InstanceObject,
  children: Iterable<LiveObject>,
): LiveObject[] =>
  claimsInUse(context, instance, children).filter(
    ({ metadata }) =>
      metadata.deletionTimestamp && metadata.labels?.[LABELS.instanceUid] === instance.metadata.uid,
  );

/** What stays known of it when the claim has been made anew: by its time another one is another record. */
export const volumeRecord = ({ metadata }: LiveObject, now: Date): DriftRecord => ({
  object: `PersistentVolumeClaim/${metadata.name}`.slice(0, 256),
  path: '/metadata/deletionTimestamp',
  expected: 'none',
  actual: metadata.deletionTimestamp ?? '',
  manager: 'unknown',
  detectedAt: now.toISOString(),
  action: 'reported',
});

export const volumesMessage = (going: readonly LiveObject[]): string => {
  const [{ metadata } = { metadata: { name: '' } } as LiveObject] = going;
  const more = going.length > 1 ? ` (and ${going.length - 1} more)` : '';
  return (
    `PersistentVolumeClaim/${metadata.name} is being deleted since ${metadata.deletionTimestamp}${more}: it goes as soon as no ` +
    'pod uses it, and the next one starts with an empty volume; the deletion cannot be taken back, so copy the data now'
  );
};
