import { setTimeout as delay } from 'node:timers/promises';
import type { Rig } from '../rig.ts';
import { blueprintTrials } from './blueprint-trials.ts';
import { chainTrials } from './chain-trials.ts';
import { instanceTrials } from './instance-trials.ts';
import { Lane } from './lane.ts';
import { Random } from './random.ts';
import { scenarios } from './scenarios.ts';
import { learnMask, type Mask } from './state.ts';
import { EVERY_LEAF, POSTGRES, type Product, WEB } from './subjects.ts';
import { dataPlaneTrials, tenantTrials } from './tenant-trials.ts';
import type { Trial } from './trial.ts';

export interface Row {
  id: string;
  leaf?: string;
  /** What was wrong; absent when it passed. */
  finding?: string;
  operations: number;
  ms: number;
}

/** Per product, what differs by nature. */
export type Masks = Map<Product, Mask>;

const PRODUCTS = [WEB, POSTGRES, EVERY_LEAF];
const CHAINS = 24;
/** Between two looks at rest. */
const ROUND = 64;
/** Whatever the operator still has to say after the last change is said within this time. */
const CALM_MS = 15_000;
const REST_MS = 3_000;

/** All trials of a seed, in an order that a sample can be cut from: every leaf once, then every leaf again. */
export function planTrials(seed: string, masks: Masks): Trial[] {
  const maskOf = (product: Product) => (): Mask => masks.get(product) ?? new Set();
  const ofEveryLeaf = [
    ...[WEB, POSTGRES].flatMap((product) => instanceTrials(product, maskOf(product), seed)),
    ...blueprintTrials(maskOf(EVERY_LEAF), seed),
    ...tenantTrials(seed),
    ...dataPlaneTrials(seed),
  ];
  const chains = [WEB, POSTGRES].flatMap((product) =>
    chainTrials(product, maskOf(product), seed, CHAINS / 2),
  );
  return inTurns([...ofEveryLeaf, ...scenarios(), ...chains], seed);
}

/** One trial of each leaf, a scenario, a chain of each product, then the next of each; which comes first, the seed says. */
function inTurns(trials: readonly Trial[], seed: string): Trial[] {
  const random = new Random(`${seed}/order`);
  const lines = Map.groupBy(trials, ({ id, leaf }) => leaf ?? id.split(':')[0]);
  const shuffled = [...lines.values()].map((line) => shuffle(line, random));
  const turns = Math.max(...shuffled.map((line) => line.length));
  return Array.from({ length: turns }, (_, turn) =>
    shuffle(
      shuffled.flatMap((line) => line[turn] ?? []),
      random,
    ),
  ).flat();
}

function shuffle<T>(items: readonly T[], random: Random): T[] {
  const left = [...items];
  const taken: T[] = [];
  while (left.length > 0) taken.push(...left.splice(random.between(0, left.length - 1), 1));
  return taken;
}

export class Campaign {
  readonly #rig: Rig;
  readonly #lanes: Lane[];
  readonly #masks: Masks;

  /** `masks` are filled in when the campaign prepares. */
  constructor(rig: Rig, lanes: number, masks: Masks) {
    this.#rig = rig;
    this.#masks = masks;
    this.#lanes = Array.from({ length: lanes }, (_, index) => new Lane(rig, String(index)));
  }

  /** Tenants, Blueprints, and from two clean runs of each product what differs by nature. */
  async prepare(): Promise<void> {
    const [first] = this.#lanes;
    if (!first) throw new Error('a campaign needs a lane');
    for (const { blueprint } of PRODUCTS)
      await first.create({ kind: 'Blueprint', name: blueprint.metadata.name }, blueprint.spec);
    await Promise.all(this.#lanes.map((lane) => lane.prepare()));
    for (const product of PRODUCTS) {
      const [a, b] = [await first.standing(product), await first.fresh(product.spec)];
      this.#masks.set(product, learnMask(first.state(a), first.state(b)));
      await first.discard(b);
    }
  }

  async run(trials: readonly Trial[], onRow: (row: Row) => void): Promise<void> {
    for (let from = 0; from < trials.length; from += ROUND) {
      const waiting = trials.slice(from, from + ROUND);
      await Promise.all(this.#lanes.map((lane) => this.#work(lane, waiting, onRow)));
      onRow(await this.#rest(`rest after ${Math.min(from + ROUND, trials.length)} trials`));
    }
  }

  async #work(lane: Lane, waiting: Trial[], onRow: (row: Row) => void): Promise<void> {
    for (let trial = waiting.shift(); trial; trial = waiting.shift()) {
      const started = performance.now();
      const before = lane.operations;
      const finding = await trial.run(lane).then(
        () => undefined,
        (error: unknown) => (error instanceof Error ? `${error.name}: ${error.message}` : String(error)),
      );
      onRow({
        id: trial.id,
        ...(trial.leaf ? { leaf: trial.leaf } : {}),
        ...(finding ? { finding } : {}),
        operations: lane.operations - before,
        ms: Math.round(performance.now() - started),
      });
      if (finding) await lane.startOver(PRODUCTS);
    }
  }

  /** What was deleted is gone with all its children, the operator lives, and then it writes nothing at all. */
  async #rest(id: string): Promise<Row> {
    const started = performance.now();
    const findings = await Promise.all(this.#lanes.map((lane) => lane.leftOvers()));
    const { operator } = this.#rig;
    if (!operator.running) findings.push('the operator has ended');
    else if ((await operator.metric('controller_runtime_reconcile_panics_total')) > 0)
      findings.push('a reconcile has panicked; the log of the operator says where');
    findings.push(await this.#writesAtRest());
    const finding = findings.filter((text) => text !== undefined).join('; ');
    return {
      id,
      ...(finding ? { finding } : {}),
      operations: 0,
      ms: Math.round(performance.now() - started),
    };
  }

  async #writesAtRest(): Promise<string | undefined> {
    const [lane] = this.#lanes;
    const { journal } = this.#rig.proxy;
    const deadline = performance.now() + CALM_MS;
    for (;;) {
      // Nobody works now: what was counted so far is not looked at again.
      journal.clear();
      this.#rig.observer.history.length = 0;
      await delay(REST_MS);
      const late = lane?.writes ?? [];
      if (late.length === 0) return undefined;
      const some = late.slice(0, 5).map(({ verb, key, status }) => `${verb} ${key} ${status}`);
      if (performance.now() > deadline) return `no rest: ${some.join(', ')}`;
    }
  }
}
