/** Monotonic times of the deletions of one kind inside the current window. */
export type BudgetWindow = readonly number[];

export interface BudgetRule {
  percent: number;
  windowMs: number;
}

export const DEFAULT_BUDGET: BudgetRule = { percent: 5, windowMs: 60_000 };

/** What a person deletes by hand within a minute; see docs/adr/0005. */
const FLOOR = 5;

/**
 * May one more object go? The share is taken of what lived when the window began, so a mass deletion can't
 * lower its own bar. A few deletions per window are always allowed, so that a small fleet can be worked with by hand;
 * with 0 % each waits for a person.
 * @param live objects of the kind that exist now and are not being deleted
 */
export function takeDeletion(
  window: BudgetWindow,
  live: number,
  rule: BudgetRule,
  nowMs: number,
): { allowed: boolean; window: BudgetWindow; limit: number } {
  const current = window.filter((at) => nowMs - at < rule.windowMs);
  const limit = budgetLimit(live + current.length, rule.percent);
  if (current.length >= limit) return { allowed: false, window: current, limit };
  return { allowed: true, window: [...current, nowMs], limit };
}

export const budgetLimit = (population: number, percent: number): number =>
  percent === 0 ? 0 : Math.max(FLOOR, Math.floor((population * percent) / 100));
