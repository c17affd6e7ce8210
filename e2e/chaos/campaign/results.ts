import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleProgram } from '@felucca/dev';
import type { Reference } from './lane.ts';
import { type Plan, planFrom } from './plans.ts';

export interface Result {
  readonly plan: string;
  readonly seed: number;
  readonly outcome: 'passed' | 'failed' | 'unfired';
  readonly tookMs: number;
  readonly problems: readonly string[];
}

/** What the learning runs found: every plan there is, and what its scenario comes to without a fault. */
export interface Learning {
  readonly plans: readonly Plan[];
  readonly references: ReadonlyMap<string, Reference>;
}

/** A campaign on disk, so that a run of hours goes on where it stopped, with the program that it began with. */
export class ResultsFolder {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Results of another build of the operator say nothing about this one: then, too, it begins anew. */
  static async open(folder: string, fresh: boolean, say: (line: string) => void): Promise<ResultsFolder> {
    const results = new ResultsFolder(folder);
    const next = await bundleProgram('operator', { folder: `${folder}.next` });
    const isSame = existsSync(results.operatorPath) && digestOf(results.operatorPath) === digestOf(next);
    if (existsSync(folder) && !isSame) say('the operator has changed: what was known of it is forgotten');
    if (fresh || !isSame) rmSync(folder, { recursive: true, force: true });
    if (existsSync(folder)) rmSync(`${folder}.next`, { recursive: true });
    else renameSync(`${folder}.next`, folder);
    return results;
  }

  get operatorPath(): string {
    return join(this.#folder, 'main.mjs');
  }

  get resultsPath(): string {
    return join(this.#folder, 'results.jsonl');
  }

  get #learningPath(): string {
    return join(this.#folder, 'learning.json');
  }

  results(): Result[] {
    if (!existsSync(this.resultsPath)) return [];
    const lines = readFileSync(this.resultsPath, 'utf8').split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line) as Result);
  }

  add(result: Result): void {
    appendFileSync(this.resultsPath, `${JSON.stringify(result)}\n`);
  }

  /** What the operator said during a case that failed; returns where it is kept. */
  keepLog(plan: string, log: string): string {
    const path = join(this.#folder, `${plan.replaceAll(/[^a-zA-Z0-9.-]+/g, '_')}.log`);
    writeFileSync(path, log);
    return path;
  }

  learning(): Learning | undefined {
    if (!existsSync(this.#learningPath)) return undefined;
    const { plans, references } = JSON.parse(readFileSync(this.#learningPath, 'utf8')) as Stored;
    return {
      plans: plans.map(planFrom),
      references: new Map(
        references.map(({ scenario, snapshot, masked, history, requests }) => [
          scenario,
          { snapshot: new Map(snapshot), masked: new Set(masked), history: new Map(history), requests },
        ]),
      ),
    };
  }

  keep({ plans, references }: Learning): void {
    const stored: Stored = {
      plans: plans.map(({ id }) => id),
      references: [...references].map(([scenario, { snapshot, masked, history, requests }]) => ({
        scenario,
        snapshot: [...snapshot],
        masked: [...masked],
        history: [...history],
        requests,
      })),
    };
    writeFileSync(this.#learningPath, JSON.stringify(stored));
  }
}

const digestOf = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

interface Stored {
  plans: string[];
  references: {
    scenario: string;
    snapshot: [string, string][];
    masked: string[];
    history: [string, { made: number; gone: number }][];
    requests: number;
  }[];
}
