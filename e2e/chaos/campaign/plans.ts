import { pseudoRandom } from '@felucca/dev/pseudo-random';
import { type Point, pointId } from './points.ts';

export const WRITE_FAULTS = ['kill-before', 'kill-committed', 'kill-answered'] as const;
export const EVENT_FAULTS = ['suppress', 'delay', 'duplicate', 'replay', 'stale', 'time-travel'] as const;
export type FaultName = (typeof WRITE_FAULTS)[number] | (typeof EVENT_FAULTS)[number];

/** One fault at one point of one scenario. */
export interface Plan {
  readonly id: string;
  readonly scenario: string;
  readonly point: Point;
  readonly fault: FaultName;
}

/** Every point with every fault that it can have. Pure. */
export function plansOf(scenario: string, points: readonly Point[]): Plan[] {
  return points.flatMap((point) =>
    (point.of === 'write' ? WRITE_FAULTS : EVENT_FAULTS).map((fault) => ({
      id: `${scenario}|${pointId(point)}|${fault}`,
      scenario,
      point,
      fault,
    })),
  );
}

/** The plan of an id, without the run that it was learned from. @throws when it is no id. */
export function planFrom(id: string): Plan {
  const [scenario, point = '', fault] = id.split('|');
  const [of, type, key, nth] = point.split(':');
  const known: readonly string[] = of === 'write' ? WRITE_FAULTS : EVENT_FAULTS;
  if (
    !scenario ||
    !type ||
    !key ||
    !Number(nth) ||
    (of !== 'write' && of !== 'event') ||
    !known.includes(fault ?? '')
  )
    throw new Error(
      `"${id}" is no plan; it looks like <scenario>|<write or event>:<type>:<key>:<nth>|<fault>, and the results have them all`,
    );
  return { id, scenario, point: { of, type, key, nth: Number(nth) }, fault: fault as FaultName };
}

/**
 * `size` plans (or as many as there are), one of each pair of scenario and fault in turn: however early it is ended, a
 * campaign has looked everywhere. The same order for a seed.
 */
export function sampleOf(plans: readonly Plan[], size: number, seed: number): Plan[] {
  const strata = new Map<string, Plan[]>();
  for (const plan of plans) {
    const name = `${plan.scenario}|${plan.fault}`;
    strata.set(name, [...(strata.get(name) ?? []), plan]);
  }
  const random = pseudoRandom(seed);
  const lines = [...strata.values()].map((line) => shuffled(line, random));
  const chosen: Plan[] = [];
  const wanted = Math.min(size, plans.length);
  for (let round = 0; chosen.length < wanted; round += 1)
    for (const line of shuffled(lines, random)) {
      const plan = line[round];
      if (plan !== undefined && chosen.length < wanted) chosen.push(plan);
    }
  return chosen;
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const left = [...items];
  for (let at = left.length - 1; at > 0; at -= 1) {
    const other = Math.floor(random() * (at + 1));
    [left[at], left[other]] = [left[other] as T, left[at] as T];
  }
  return left;
}
