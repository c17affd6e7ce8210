import type { InstanceObject } from '@felucca/contract';
import { conditionOf } from './conditions.ts';
import { HELD, isHeld, isOwned, resumeText } from './ownership.ts';

export const SUSPENDED = 'workloads are scaled to zero and data is kept';

export interface Told {
  reason: string;
  message: string;
  since?: string;
}

/**
 * What says most about an Instance: what is in the way of its deletion, else how far it is. The operator knows one way
 * to resume, which an Instance of the control plane refuses.
 */
export function toldOf(instance: InstanceObject): Told | undefined {
  const blocked = conditionOf(instance, 'DeletionBlocked');
  const held = isHeld(instance);
  if (blocked?.status === 'True' && (held || instance.metadata.deletionTimestamp))
    return { ...blocked, since: blocked.lastTransitionTime };
  if (held) return { reason: 'DeletionHeld', message: HELD };
  const ready = conditionOf(instance, 'Ready');
  const { deletionTimestamp } = instance.metadata;
  // Nobody has looked since: what the status says is of before.
  if (deletionTimestamp && ready?.reason !== 'Deleting')
    return { reason: 'Deleting', message: 'it is being deleted', since: deletionTimestamp };
  if (!ready) return undefined;
  const isRefused = ready.reason === 'Suspended' && isOwned(instance);
  const message = isRefused ? `${SUSPENDED}; ${resumeText(instance)}` : ready.message;
  return { reason: ready.reason, message, since: ready.lastTransitionTime };
}
