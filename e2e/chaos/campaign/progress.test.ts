import { expect, test } from 'vitest';
import { planFrom } from './plans.ts';
import { countsLine, progressLine, summaryLines } from './progress.ts';
import type { Result } from './results.ts';

const plans = ['duplicate', 'delay', 'stale', 'replay'].map((fault) =>
  planFrom(`order|event:ADDED:k:1|${fault}`),
);
const result = (at: number, outcome: Result['outcome'], problems: string[] = []): Result => ({
  plan: plans[at]!.id,
  seed: 1,
  outcome,
  tookMs: 2_000,
  problems,
});
const results = [result(0, 'passed'), result(1, 'failed', ['it is not so']), result(2, 'unfired')];

test('a plan whose point did not come by was not executed, and one without a result neither', () => {
  expect(countsLine(plans, results)).toBe('1 passed, 1 failed, 1 skipped');
  const lines = summaryLines(plans, results);
  expect(lines.find((line) => line.startsWith('executed'))).toMatch(/2 of 4 +1 failed +1 not reached/);
  expect(lines).toContain('FAILED  order|event:ADDED:k:1|delay');
  expect(lines.join('\n')).toContain('it is not so');
});

test('the end is reckoned from what was done in this run', () => {
  const now = new Date(2026, 0, 1, 12, 0, 0);
  expect(progressLine(results, 63, 60_000, 1, now)).toBe('3/63 plans, 1 failed, 0.02/s, ends about 13:00');
  expect(progressLine([], 63, 60_000, 0, now)).toBe('0/63 plans, 0 failed, 0.00/s');
});
