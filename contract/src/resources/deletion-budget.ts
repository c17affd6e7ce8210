/** Largest share of the Instances of a data plane that may be deleted within a window without a person. */
export interface BudgetRule {
  percent: number;
  windowMs: number;
}

/** Where the DataPlane says nothing; in the control plane and in the operator alike. */
export const DEFAULT_BUDGET: BudgetRule = { percent: 5, windowMs: 60_000 };

/** What a person deletes by hand within a minute; see docs/adr/0005. */
const FLOOR = 5;

/** How many of `population` may go; felucca.deletion_limit() is the same in SQL. With 0 % each waits for a person. */
export const budgetLimit = (population: number, percent: number): number =>
  percent === 0 ? 0 : Math.max(FLOOR, Math.floor((population * percent) / 100));
