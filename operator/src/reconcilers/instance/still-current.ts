import type { InstanceObject } from '@felucca/contract';
import { refOf } from '../cluster.ts';
import type { InstanceContext } from './context.ts';

/** The Instance is not any more what the plan was made for. */
export class Outdated extends Error {
  override name = 'Outdated';
}

/**
 * Before something is destroyed: that the Instance wants it gone must be true now. The cache may be minutes behind, and
 * the plan may have waited for a quota, while the spec was set back.
 * @throws {Outdated}
 */
export async function requireCurrent(context: InstanceContext, instance: InstanceObject): Promise<void> {
  const { uid, generation, deletionTimestamp } = instance.metadata;
  const { metadata } = (await context.cluster.read(refOf(instance))) ?? {};
  const isCurrent =
    metadata?.uid === uid &&
    metadata?.generation === generation &&
    metadata?.deletionTimestamp === deletionTimestamp;
  if (!isCurrent)
    throw new Outdated('the Instance has changed since it was last seen; it is looked at again');
}
