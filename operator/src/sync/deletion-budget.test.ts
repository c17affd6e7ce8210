import { budgetLimit } from '@felucca/contract';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BudgetWindow, takeDeletion } from './deletion-budget.ts';

const rule = { percent: 5, windowMs: 60_000 };
const full: BudgetWindow = [0, 1, 2, 3, 4].map((atMs) => ({ id: `id-${atMs}`, atMs }));

describe('the deletion budget', () => {
  it.each([
    [0, 5, 5],
    [1, 5, 5],
    [100, 5, 5],
    [140, 5, 7],
    [1000, 5, 50],
    [10, 100, 10],
    [1000, 0, 0],
  ])('of %i objects at %i %% is %i', (population, percent, limit) => {
    expect(budgetLimit(population, percent)).toBe(limit);
  });

  it('opens again when the window has passed', () => {
    expect(takeDeletion(full, 'next', 30, rule, 59_999).allowed).toBe(false);
    expect(takeDeletion(full, 'next', 30, rule, 60_000).allowed).toBe(true);
  });

  it('counts a deletion that is tried again once', () => {
    const again = takeDeletion(full, 'id-3', 30, rule, 10_000);
    expect(again).toMatchObject({ allowed: true, window: full });
  });

  // Invariant L16.
  it('never lets more than the limit go inside any window, however the requests come', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 400 }),
        fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 200 }),
        (population, gaps) => {
          let window: BudgetWindow = [];
          let live = population;
          let nowMs = 0;
          const gone: number[] = [];
          for (const gap of gaps) {
            nowMs += gap;
            if (live === 0) break;
            const taken = takeDeletion(window, `id-${live}`, live, rule, nowMs);
            window = taken.window;
            if (!taken.allowed) continue;
            live -= 1;
            gone.push(nowMs);
          }
          const limit = budgetLimit(population, rule.percent);
          return gone.every(
            (at) => gone.filter((other) => other >= at && other - at < rule.windowMs).length <= limit,
          );
        },
      ),
    );
  });
});
