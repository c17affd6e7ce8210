import type { DriftRecord, InstanceObject } from '@felucca/contract';
import { LABELS } from '@felucca/contract';
import type { LiveObject } from '../cluster.ts';
import type { InstanceContext } from './context.ts';
import { isUsedBy } from './take-up-claims.ts';

/**
 * Claims that a StatefulSet of this Instance uses and that somebody is deleting. They stay until their pod ends, everything
 * looks ready meanwhile, and the next pod gets an empty volume.
 */
export function goingVolumes(
  context: InstanceContext,
  { metadata: { uid, namespace = '', name } }: InstanceObject,
  children: Iterable<LiveObject>,
): LiveObject[] {
  const going = [...context.claims(namespace, name)].filter(
    ({ metadata }) => metadata.deletionTimestamp && metadata.labels?.[LABELS.instanceUid] === uid,
  );
  if (going.length === 0) return [];
  const sets = [...children].filter(
    (child) => child.kind === 'StatefulSet' && !child.metadata.deletionTimestamp,
  );
  return going.filter((claim) => sets.some((set) => isUsedBy(set, claim)));
}

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
