/** One deliberate mistake in the operator, and the test that must notice it. */
export interface Mutant {
  readonly name: string;
  /** From the top of the repository. */
  readonly file: string;
  /** Exactly once in the file: otherwise the code has moved on, and the mutant with it. */
  readonly find: string;
  readonly replace: string;
  /** What no longer holds, with the invariant of the fault plan. */
  readonly breaks: string;
  readonly caughtBy: Test;
}

/** The cheapest one: a unit test before one with an API server, and one test of a file before all of it. */
export interface Test {
  readonly project: 'unit' | 'real' | 'acto';
  readonly file: string;
  /** Part of the test's name, or the id of a trial; without it, the whole file. */
  readonly named?: string;
}

export const unit = (file: string, named?: string): Test => test('unit', file, named);
export const real = (file: string, named?: string): Test => test('real', file, named);
/** A trial of the campaign in `e2e/chaos/acto`. */
export const acto = (trial: string): Test => test('acto', 'e2e/chaos/acto/main.ts', trial);
const test = (project: Test['project'], file: string, named?: string): Test => ({
  project,
  file,
  ...(named === undefined ? {} : { named }),
});

export const testId = ({ file, named }: Test): string => (named === undefined ? file : `${file}: ${named}`);
