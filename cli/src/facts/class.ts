import type { InstanceObject } from '@felucca/contract';
import { conditionOf, isHandled, isTrue } from './conditions.ts';

/** How far from what it should be, worst first. */
export const CLASSES = [
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
  if (!ready || !isHandled(instance)) return 'unhandled';
  if (isTrue(instance, 'Stalled')) return 'stalled';
  if (ready.reason === 'Suspended') return 'suspended';
  if (ready.status === 'True') return isTrue(instance, 'DriftDetected') ? 'drifted' : 'ready';
  return ready.reason === 'ChildFailed' ? 'failed' : 'in progress';
}
