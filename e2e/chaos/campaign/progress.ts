import type { Plan } from './plans.ts';
import type { Result } from './results.ts';

/** One line about how far it is, how fast, and when it will end. Pure. */
export function progressLine(
  done: readonly Result[],
  total: number,
  runningMs: number,
  doneNow: number,
  now: Date,
): string {
  const failed = done.filter(({ outcome }) => outcome === 'failed').length;
  const perSecond = doneNow / (runningMs / 1_000);
  const endsAt = new Date(now.getTime() + ((total - done.length) / perSecond) * 1_000);
  const end = Number.isFinite(endsAt.getTime()) ? `, ends about ${endsAt.toTimeString().slice(0, 5)}` : '';
  return `${done.length}/${total} plans, ${failed} failed, ${perSecond.toFixed(2)}/s${end}`;
}

/** Executed of existing, by fault and in all; then what failed and what was never reached. Pure. */
export function summaryLines(plans: readonly Plan[], results: readonly Result[]): string[] {
  const byPlan = new Map(results.map((result) => [result.plan, result]));
  const faults = [...new Set(plans.map(({ fault }) => fault))];
  const outcomes = (of: readonly Plan[], outcome: Result['outcome']): Plan[] =>
    of.filter(({ id }) => byPlan.get(id)?.outcome === outcome);
  const row = (name: string, of: readonly Plan[]): string => {
    const [passed, failed, unfired] = (['passed', 'failed', 'unfired'] as const).map(
      (outcome) => outcomes(of, outcome).length,
    ) as [number, number, number];
    return `${name.padEnd(16)}${String(passed + failed).padStart(6)} of ${String(of.length).padEnd(6)}${String(failed).padStart(4)} failed${String(unfired).padStart(5)} not reached`;
  };
  const took = results.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
  const at = (share: number): string =>
    `${((took[Math.floor((took.length - 1) * share)] ?? 0) / 1_000).toFixed(1)} s`;
  return [
    ...faults.map((fault) =>
      row(
        fault,
        plans.filter((plan) => plan.fault === fault),
      ),
    ),
    row('executed', plans),
    `a case takes ${at(0.5)} (median), ${at(0.95)} (95 %), ${at(1)} (longest)`,
    ...outcomes(plans, 'unfired').map(({ id }) => `SKIPPED ${id}: its point did not come by`),
    ...outcomes(plans, 'failed').flatMap(({ id }) => [
      `FAILED  ${id}`,
      ...(byPlan.get(id)?.problems ?? []).slice(0, 5).map((problem) => `          ${problem.slice(0, 300)}`),
    ]),
  ];
}

/** The last line of a test run. */
export function countsLine(plans: readonly Plan[], results: readonly Result[]): string {
  const byPlan = new Map(results.map(({ plan, outcome }) => [plan, outcome]));
  const count = (outcome: Result['outcome']): number =>
    plans.filter(({ id }) => byPlan.get(id) === outcome).length;
  return `${count('passed')} passed, ${count('failed')} failed, ${count('unfired')} skipped`;
}
