import { Lane } from './lane.ts';
import { learn } from './learn.ts';
import { type Plan, sampleOf } from './plans.ts';
import { countsLine, progressLine, summaryLines } from './progress.ts';
import type { Learning, Result, ResultsFolder } from './results.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';

export interface CampaignOptions {
  readonly folder: ResultsFolder;
  readonly lanes: number;
  /** Undefined: all plans. */
  readonly sample: number | undefined;
  readonly seed: number;
  /** Only scenarios whose names contain this. */
  readonly only: string;
  readonly say: (line: string) => void;
}

const PROGRESS_EVERY_MS = 15_000;
/** A lane that breaks is replaced; a machine on which they all break is not worth going on. */
const MAX_BROKEN_LANES = 5;

/** Learns, derives the plans, executes those that have no result yet. Returns the lines of its report. */
export async function runCampaign(options: CampaignOptions): Promise<{ lines: string[]; ok: boolean }> {
  const { folder, say, sample, seed } = options;
  const lanes = new Lanes(options.lanes, folder.operatorPath, say);
  try {
    const learning = folder.learning() ?? (await learnAll(lanes, options));
    const plans = sampleOf(learning.plans, sample ?? learning.plans.length, seed);
    const known = new Map(folder.results().map((result) => [result.plan, result]));
    const open = plans.filter(({ id }) => !known.has(id));
    say(
      `${learning.plans.length} plans exist, ${plans.length} are chosen, ${open.length} are to be executed`,
    );
    const done = plans.flatMap(({ id }) => known.get(id) ?? []);
    await execute(lanes, open, learning, done, plans.length, options);
    const failed = done.some(({ outcome }) => outcome === 'failed');
    return {
      lines: [...summaryLines(plans, done), countsLine(plans, done)],
      ok: !failed && done.length === plans.length,
    };
  } finally {
    await lanes.stop();
  }
}

/** One plan by its id, on a lane of its own. */
export async function runPlan(plan: Plan, operator: string, say: (line: string) => void): Promise<boolean> {
  const scenario = scenarioOf(plan);
  const lane = await Lane.start('1', operator);
  try {
    say(`learning ${scenario.name}`);
    const { reference } = await learn(lane, scenario);
    const { problems, hit, tookMs } = await lane.execute(scenario, plan, reference);
    say(hit ? `the fault was there; the case took ${tookMs} ms` : 'the point did not come by');
    for (const problem of problems) say(problem);
    say(`log of the operator:\n${lane.rig.log().split('\n').slice(-40).join('\n')}`);
    return hit && problems.length === 0;
  } finally {
    await lane.stop();
  }
}

async function learnAll(lanes: Lanes, { folder, only, say }: CampaignOptions): Promise<Learning> {
  const plans: Plan[] = [];
  const references: Learning['references'] extends ReadonlyMap<infer K, infer V> ? Map<K, V> : never =
    new Map();
  const chosen = SCENARIOS.filter(({ name }) => name.includes(only));
  await lanes.forEach(chosen, async (lane, scenario) => {
    const learned = await learn(lane, scenario);
    say(`learned ${scenario.name}: ${learned.plans.length} plans`);
    plans.push(...learned.plans);
    references.set(scenario.name, learned.reference);
  });
  const order = (plan: Plan): number => chosen.findIndex(({ name }) => name === plan.scenario);
  plans.sort((a, b) => order(a) - order(b));
  const learning = { plans, references };
  folder.keep(learning);
  return learning;
}

async function execute(
  lanes: Lanes,
  open: readonly Plan[],
  learning: Learning,
  done: Result[],
  total: number,
  { folder, seed, say }: CampaignOptions,
): Promise<void> {
  const before = done.length;
  const began = performance.now();
  const tell = (): void =>
    say(progressLine(done, total, performance.now() - began, done.length - before, new Date()));
  const timer = setInterval(tell, PROGRESS_EVERY_MS);
  try {
    await lanes.forEach(open, async (lane, plan) => {
      const reference = learning.references.get(plan.scenario);
      if (!reference) throw new Error(`nothing was learned about ${plan.scenario}; begin anew with FRESH=1`);
      const verdict = await executeTwice(lane, plan, reference);
      const outcome = verdict.problems.length > 0 ? 'failed' : verdict.hit ? 'passed' : 'unfired';
      const result: Result = {
        plan: plan.id,
        seed,
        outcome,
        tookMs: verdict.tookMs,
        problems: verdict.problems,
      };
      if (outcome === 'failed') {
        const log = folder.keepLog(plan.id, lane.lastLog());
        say(`FAILED ${plan.id}\n  ${verdict.problems.slice(0, 3).join('\n  ')}\n  ${log}`);
      }
      done.push(result);
      folder.add(result);
    });
  } finally {
    clearInterval(timer);
  }
  tell();
}

/** Once more when the point did not come by: how often a status is written depends on who was faster. */
async function executeTwice(lane: Lane, plan: Plan, reference: Parameters<Lane['execute']>[2]) {
  const first = await lane.execute(scenarioOf(plan), plan, reference);
  return first.hit || first.problems.length > 0 ? first : lane.execute(scenarioOf(plan), plan, reference);
}

function scenarioOf(plan: Plan): Scenario {
  const scenario = SCENARIOS.find(({ name }) => name === plan.scenario);
  if (!scenario) throw new Error(`there is no scenario "${plan.scenario}"`);
  return scenario;
}

/** Several clusters side by side, each working through one item after the other. */
class Lanes {
  readonly #count: number;
  readonly #operator: string;
  readonly #say: (line: string) => void;
  readonly #lanes: (Lane | undefined)[] = [];
  #broken = 0;
  #started = 0;

  constructor(count: number, operator: string, say: (line: string) => void) {
    this.#count = count;
    this.#operator = operator;
    this.#say = say;
  }

  async forEach<T>(items: readonly T[], work: (lane: Lane, item: T) => Promise<void>): Promise<void> {
    const left = [...items];
    const run = async (index: number): Promise<void> => {
      for (let item = left.shift(); item !== undefined; item = left.shift()) {
        try {
          await work(await this.#lane(index), item);
        } catch (error) {
          this.#broken += 1;
          this.#say(`lane ${index} broke and is replaced: ${(error as Error).stack}`);
          await this.#lanes[index]?.stop();
          this.#lanes[index] = undefined;
          if (this.#broken > MAX_BROKEN_LANES) throw error;
          left.push(item);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(this.#count, items.length) }, (_, index) => run(index)));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane?.stop()));
  }

  async #lane(index: number): Promise<Lane> {
    const lane = this.#lanes[index] ?? (await Lane.start(String(++this.#started), this.#operator));
    this.#lanes[index] = lane;
    return lane;
  }
}
