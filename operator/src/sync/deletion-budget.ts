import { type BudgetRule, budgetLimit } from '@felucca/contract';

/** Deletions of one kind inside the current window; a deletion that is tried again is the same one. */
export type BudgetWindow = readonly { id: string; atMs: number }[];

/**
 * May one more object go? The share is taken of what lived when the window began, so a mass deletion can't
 * lower its own bar. A few deletions per window are always allowed, so that a small fleet can be worked with by hand;
 * with 0 % each waits for a person.
 * @param id what goes; its place in the window is taken once
 * @param live objects of the kind that exist now and are not being deleted
 */
export function takeDeletion(
  window: BudgetWindow,
  id: string,
  live: number,
  rule: BudgetRule,
  nowMs: number,
): { allowed: boolean; window: BudgetWindow; limit: number } {
  const current = window.filter(({ atMs }) => nowMs - atMs < rule.windowMs);
  const limit = budgetLimit(live + current.length, rule.percent);
  if (current.some((taken) => taken.id === id)) return { allowed: true, window: current, limit };
  if (current.length >= limit) return { allowed: false, window: current, limit };
  return { allowed: true, window: [...current, { id, atMs: nowMs }], limit };
}
