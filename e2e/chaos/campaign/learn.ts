import type { Lane, Learned, Reference } from './lane.ts';
import { type Plan, plansOf } from './plans.ts';
import { commonPoints } from './points.ts';
import type { Scenario } from './scenarios.ts';
import { maskOf } from './snapshot.ts';

/** What these agree about is what every other one is held to. */
const RUNS = 4;

/** Runs a scenario without a fault, and derives every plan there is from what happened. */
export async function learn(
  lane: Lane,
  scenario: Scenario,
): Promise<{ plans: Plan[]; reference: Reference }> {
  const runs: Learned[] = [];
  for (let run = 0; run < RUNS; run += 1) runs.push(await lane.learn(scenario));
  const [first, ...others] = runs as [Learned, ...Learned[]];
  const masked = new Set(others.flatMap(({ snapshot }) => [...maskOf(first.snapshot, snapshot)]));
  const requests = Math.max(...runs.map((run) => run.requests));
  return {
    plans: plansOf(scenario.name, commonPoints(runs.map(({ points }) => points))),
    reference: { snapshot: first.snapshot, history: first.history, masked, requests },
  };
}
