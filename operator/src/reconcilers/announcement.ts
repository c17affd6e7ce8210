import type { Condition } from '@felucca/contract';

export interface Announcement {
  type: 'Normal' | 'Warning';
  reason: string;
  message: string;
}

/** While one of these is true it is the news, whatever Ready still says. */
const FAILURES = ['ApiError', 'InternalError'];

/**
 * The Event that a change of conditions is worth: one per transition. Progress is none, nor is a new text under the
 * same reason, nor an object that is well from its first status on. Pure.
 */
export function announcement(
  before: readonly Condition[],
  after: readonly Condition[],
): Announcement | undefined {
  const [old, now] = [headline(before), headline(after)];
  if (!now || isSame(old, now)) return undefined;
  const { type, status, reason, message } = now;
  const isProgress = type === 'Ready' && after.some((condition) => condition.type === 'Reconciling');
  const isGood = type === 'Ready' && (status === 'True' || reason === 'Suspended');
  if (isProgress || (!old && isGood)) return undefined;
  return { type: isGood ? 'Normal' : 'Warning', reason, message };
}

function headline(conditions: readonly Condition[]): Condition | undefined {
  const of = (type: string) => conditions.find((condition) => condition.type === type);
  const doing = of('Reconciling');
  if (doing && FAILURES.includes(doing.reason)) return doing;
  return of('DeletionBlocked') ?? of('Ready');
}

const isSame = (old: Condition | undefined, now: Condition): boolean =>
  old !== undefined && old.type === now.type && old.status === now.status && old.reason === now.reason;
