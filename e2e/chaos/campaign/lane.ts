import { type KubeObject, type Rig, startRig } from '../rig.ts';
import { Actor } from './actor.ts';
import { BLUEPRINTS } from './blueprints.ts';
import { Injection } from './injection.ts';
import { commonKey, isOfCase } from './names.ts';
import type { Plan } from './plans.ts';
import { type Point, pointsOf } from './points.ts';
import type { Scenario, Step } from './scenarios.ts';
import {
  type Difference,
  differences,
  type History,
  historyDifferences,
  historyOf,
  type Snapshot,
  snapshotOf,
} from './snapshot.ts';
import { StaleView } from './stale-view.ts';

/** What a scenario comes to without a fault. */
export interface Reference {
  readonly snapshot: Snapshot;
  /** What two such runs did not agree about. */
  readonly masked: ReadonlySet<string>;
  readonly history: History;
  readonly requests: number;
}

/** A run without a fault. */
export interface Learned extends Omit<Reference, 'masked'> {
  readonly points: readonly Point[];
}

export interface Verdict {
  /** Why it failed, for a person; empty when it passed. */
  readonly problems: readonly string[];
  /** The point came by, so the fault was there. */
  readonly hit: boolean;
  readonly tookMs: number;
}

const STEP_TIMEOUT_MS = 45_000;
const SETTLE_TIMEOUT_MS = 15_000;
/** Longer than a status waits for a better one; the lane goes on looking while later cases run. */
const QUIET_MS = 1_300;
/** A restart costs a few requests for each watch; a loop costs thousands. */
const REQUESTS_BESIDES = 400;
const MAX_FINISHED = 12;
/** Enough for the case and the one before it. */
const MAX_LOG_LINES = 2_000;
/** On a machine that others use too, a last word may come this late. */
const LAST_WORD_MS = 5_000;

/** One cluster with one operator, on which one case runs after the other. */
export class Lane {
  readonly rig: Rig;
  readonly #view = new StaleView();
  readonly #name: string;
  #cases = 0;
  /** Cases that are over, with their objects still there: whatever is written to them is written for nothing. */
  readonly #finished: { actor: Actor; scenario: string; atMs: number }[] = [];

  private constructor(rig: Rig, name: string) {
    this.rig = rig;
    this.#name = name;
  }

  /** `entry` is the operator's program: one file that nobody edits meanwhile, and that starts soonest. */
  static async start(name: string, entry: string): Promise<Lane> {
    const rig = await startRig({ name: `chaos-${name}-${process.pid}`, operator: { entry } });
    const lane = new Lane(rig, name);
    try {
      for (const blueprint of BLUEPRINTS) await rig.admin.apply(blueprint);
      await lane.#calm();
      // The view has to see the lists from which its watches went on.
      await rig.operator.restart();
      await rig.observer.until('the operator works again', () => rig.operator.works(), STEP_TIMEOUT_MS);
      const isKnown = ({ metadata: { name } }: KubeObject): boolean =>
        rig.observer.get(`blueprints.felucca.dev/${name}`)?.status?.observedGeneration > 0;
      await rig.observer.until('the Blueprints are known', () => BLUEPRINTS.every(isKnown), STEP_TIMEOUT_MS);
      rig.proxy.journal.clear();
      return lane;
    } catch (error) {
      await rig.stop();
      throw error;
    }
  }

  stop(): Promise<void> {
    return this.rig.stop();
  }

  /** What the operator said lately. */
  lastLog(): string {
    return this.rig.log().split('\n').slice(-MAX_LOG_LINES).join('\n');
  }

  /** @throws when the scenario does not even work without a fault. */
  async learn(scenario: Scenario): Promise<Learned> {
    const { actor, problems, ...end } = await this.#run(scenario, undefined);
    if (problems.length > 0) throw new Error(`${scenario.name} without a fault: ${problems.join('; ')}`);
    await this.#quiet(actor);
    const points = pointsOf(this.rig.proxy.journal, actor.id);
    const { requests } = this.rig.proxy.journal;
    const snapshot = this.#snapshot(actor);
    await this.#finish(actor, scenario);
    return { snapshot, points, history: end.history(), requests };
  }

  async execute(scenario: Scenario, plan: Plan, reference: Reference): Promise<Verdict> {
    const began = performance.now();
    const { actor, problems, hit, history } = await this.#run(scenario, plan);
    if (problems.length === 0) {
      problems.push(...(await this.#settle(actor, reference)));
      problems.push(...(await this.#quiet(actor)));
      const isBlind = plan.fault === 'stale' || plan.fault === 'time-travel';
      if (!scenario.isRace)
        problems.push(...historyDifferences(reference.history, history(), isBlind).map(inWords));
      const { requests } = this.rig.proxy.journal;
      if (requests > 4 * reference.requests + REQUESTS_BESIDES)
        problems.push(`${requests} requests; without the fault it takes ${reference.requests}`);
    }
    problems.push(...this.#foreignWrites(actor));
    await this.#finish(actor, scenario);
    return { problems, hit, tookMs: Math.round(performance.now() - began) };
  }

  async #run(
    scenario: Scenario,
    plan: Plan | undefined,
  ): Promise<{ actor: Actor; problems: string[]; hit: boolean; history: () => History }> {
    this.#cases += 1;
    const actor = new Actor(this.rig, `z${this.#name}q${this.#cases}x`);
    const injection = plan && new Injection(this.rig, this.#view, plan, actor.id);
    const problems: string[] = [];
    const { observer, proxy, operator } = this.rig;
    observer.history.length = 0;
    const crashes = operator.crashes;
    let since = 0;
    try {
      for (const step of scenario.setup) await this.#take(step, actor);
      await this.#quiet(actor);
      since = observer.history.length;
      problems.push(...this.#foreignWrites(actor));
      proxy.journal.clear();
      injection?.arm();
      for (const step of scenario.steps) await this.#take(step, actor, injection);
      await injection?.end();
      const last = scenario.steps.at(-1);
      if (last) await this.#until(last, actor);
    } catch (error) {
      problems.push((error as Error).message);
    } finally {
      await injection?.end();
    }
    if (operator.crashes > crashes) problems.push('the operator ended by itself; its log says why');
    const history = (): History =>
      historyOf(
        observer.history.slice(since).filter(({ key }) => isOfCase(key, actor.id)),
        actor.id,
      );
    return { actor, problems, hit: injection?.hit ?? false, history };
  }

  async #take(step: Step, actor: Actor, injection?: Injection): Promise<void> {
    await step.act(actor);
    await injection?.afterAct();
    // Who sees nothing can't be waited for: the next thing happens meanwhile.
    await this.#until(step, actor, () => injection?.blinds ?? false);
  }

  #until(step: Step, actor: Actor, isEnough = () => false): Promise<boolean> {
    return this.rig.observer.until(step.what, () => step.isDone(actor) || isEnough(), STEP_TIMEOUT_MS);
  }

  /** Until everything is as it is without a fault, or for as long as one may wait for it. */
  async #settle(actor: Actor, { snapshot, masked }: Reference): Promise<string[]> {
    let found: Difference[] = [];
    const isSame = (): boolean => {
      found = differences(snapshot, this.#snapshot(actor), masked);
      return found.length === 0;
    };
    await this.rig.observer.until('the same end', isSame, SETTLE_TIMEOUT_MS).catch(() => undefined);
    return found.map(inWords);
  }

  /** What is written although all is done. */
  async #quiet(actor: Actor): Promise<string[]> {
    const writes = (): string[] =>
      this.#effectiveWrites(actor.id).map(({ verb, key }) => `${verb} ${commonKey(key, actor.id)}`);
    let seen = writes().length;
    let quietSince = performance.now();
    const until = performance.now() + SETTLE_TIMEOUT_MS;
    while (performance.now() - quietSince < QUIET_MS) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      const now = writes().length;
      if (now !== seen) quietSince = performance.now();
      seen = now;
      if (performance.now() > until) return [`it does not stop writing: ${writes().slice(-3).join(', ')}`];
    }
    return [];
  }

  #effectiveWrites(id: string) {
    return this.rig.proxy.journal.writes.filter(({ key }) => isOfCase(key, id) && !key.startsWith('events'));
  }

  /** Writes to what belongs to nobody or to a case that is over. */
  #foreignWrites(actor: Actor): string[] {
    const problems: string[] = [];
    for (const { verb, key, atMs } of this.rig.proxy.journal.writes) {
      if (isOfCase(key, actor.id) || /^(leases|events|dataplanes)\b/.test(key)) continue;
      const over = this.#finished.find((one) => isOfCase(key, one.actor.id));
      const lateMs = over ? atMs - over.atMs : 0;
      if (over && lateMs > LAST_WORD_MS)
        problems.push(
          `${verb} ${commonKey(key, over.actor.id)} ${Math.round(lateMs)} ms after its case, ${over.scenario}, was over`,
        );
      else if (!over && !/z\w+q\d+x/.test(key)) problems.push(`${verb} ${key}, which belongs to no case`);
    }
    return problems;
  }

  #snapshot(actor: Actor): Snapshot {
    const { observer } = this.rig;
    const mine = observer.keys().filter((key) => isOfCase(key, actor.id) && !key.startsWith('pods/'));
    return snapshotOf(
      mine.map((key) => [key, observer.get(key)]),
      actor.id,
    );
  }

  /** The case stays for a while as a witness, then its objects go. */
  async #finish(actor: Actor, scenario: Scenario): Promise<void> {
    // From here on every write to it is one too many.
    this.rig.proxy.journal.clear();
    this.#finished.push({ actor, scenario: scenario.name, atMs: performance.now() });
    const over = this.#finished.length > MAX_FINISHED ? this.#finished.shift()?.actor : undefined;
    if (over) for (const object of [over.instance, over.tenant, over.blueprint]) await over.delete(object);
    await this.#calm();
  }

  async #calm(): Promise<void> {
    this.rig.proxy.clearFaults();
    this.rig.proxy.add(this.#view);
    this.rig.operator.start();
    const { operator, observer } = this.rig;
    await observer
      .until('the operator works', () => operator.works(), STEP_TIMEOUT_MS)
      .catch(async (error: Error) => {
        throw new Error(`${error.message}; ${await operator.probe('/readyz')}\n${this.lastLog()}`);
      });
  }
}

const inWords = ({ what, expected, actual }: Difference): string =>
  `${what}: ${actual ?? 'missing'} instead of ${expected ?? 'nothing'}`;
