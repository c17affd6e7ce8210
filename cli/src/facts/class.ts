import type { InstanceObject } from '@felucca/contract';
import { conditionOf, isHandled, isTrue } from './conditions.ts';
import { isHeld } from './ownership.ts';

/** How far from what it should be, worst first; a held deletion runs well and waits for a person. */
export const CLASSES = [
  'held',
  'stalled',
  'failed',
  'deleting',
  'unhandled',
  'in progress',
  'drifted',
  'suspended',
  'ready',
] as const;
export type Class = (typeof CLASSES)[number];

export function classOf(instance: InstanceObject): Class {
  const ready = conditionOf(instance, 'Ready');
  if (instance.metadata.deletionTimestamp)
    return isTrue(instance, 'DeletionBlocked') ? 'stalled' : 'deleting';
  if (isHeld(instance)) return 'held';
  if (!ready || !isHandled(instance)) return 'unhandled';
  if (isTrue(instance, 'Stalled')) return 'stalled';
  if (ready.reason === 'Suspended') return 'suspended';
  if (ready.status === 'True') return isTrue(instance, 'DriftDetected') ? 'drifted' : 'ready';
  return ready.reason === 'ChildFailed' ? 'failed' : 'in progress';
}
