import type { InstanceSpec, InventoryEntry } from '../resources/instance.ts';

export type DeletionPolicy = NonNullable<InstanceSpec['deletionPolicy']>;

/** What an Instance that says nothing about it has. */
export const policyOf = (spec: Pick<InstanceSpec, 'deletionPolicy'> | undefined): DeletionPolicy =>
  spec?.deletionPolicy ?? 'Delete';

/** Data, and the credentials without which nobody could open it again. */
const DATA: readonly string[] = ['PersistentVolumeClaim', 'Secret'];

/**
 * Whether a child, of an inventory or a Blueprint, outlives its Instance. Such a child has no owner: the garbage
 * collector asks for no policy.
 */
export const outlives = (
  { kind, onDelete }: { kind: string; onDelete?: InventoryEntry['onDelete'] | undefined },
  policy: DeletionPolicy,
): boolean => policy === 'Orphan' || onDelete === 'Retain' || (policy === 'Retain' && DATA.includes(kind));

/** Of what an Instance that lives on does not want any more: the policy spares its data, and nothing that runs. */
export const policyWhileAlive = (policy: DeletionPolicy): DeletionPolicy =>
  policy === 'Orphan' ? 'Retain' : policy;
