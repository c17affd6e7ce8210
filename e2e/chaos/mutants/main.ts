import { parseArgs } from 'node:util';
import { MUTANTS } from './all-mutants.ts';
import { type Mutant, type Test, testId } from './mutant.ts';
import { runTest, type TestRun } from './run-test.ts';
import { SourceTree } from './tree.ts';

/**
 * `node e2e/chaos/mutants/main.ts`: makes each known mistake in a copy of the sources and runs the test that must fail.
 * A mistake that no test notices fails this run. `--unit` takes those that unit tests catch, `--real` the others,
 * `--sample N` some of them, `--only NAME` one.
 */
const { values: options } = parseArgs({
  options: {
    unit: { type: 'boolean', default: false },
    real: { type: 'boolean', default: false },
    sample: { type: 'string' },
    only: { type: 'string', multiple: true },
  },
});
const say = (line: string): void => void process.stderr.write(`${line}\n`);

function chosen(): readonly Mutant[] {
  const wanted = MUTANTS.filter(
    ({ name, caughtBy }) =>
      (!options.unit || caughtBy.project === 'unit') &&
      (!options.real || caughtBy.project !== 'unit') &&
      (!options.only || options.only.includes(name)),
  );
  const count = Math.min(wanted.length, Number(options.sample ?? wanted.length));
  // Evenly over the list, which is in the order of the parts they are in.
  return Array.from(
    { length: count },
    (_, index) => wanted[Math.floor((index * wanted.length) / count)] as Mutant,
  );
}

const tree = new SourceTree();
const baselines = new Map<string, TestRun>();
/** The test is no witness if it fails without any mistake. */
async function baseline(test: Test): Promise<TestRun> {
  const id = testId(test);
  const known = baselines.get(id) ?? (await runTest(tree.path, test));
  baselines.set(id, known);
  return known;
}

/** What is wrong with the mutant or its test; undefined when it is caught. */
async function problemOf(mutant: Mutant): Promise<string | undefined> {
  const before = await baseline(mutant.caughtBy);
  if (before.result !== 'passed') return `${testId(mutant.caughtBy)} does not pass without it: ${before.why}`;
  let undo: () => void;
  try {
    undo = tree.mutate(mutant);
  } catch (error) {
    return (error as Error).message;
  }
  const { result, why } = await runTest(tree.path, mutant.caughtBy);
  undo();
  if (result === 'failed' || result === 'hung') {
    say(`caught   ${mutant.name} by "${why}"`);
    return undefined;
  }
  return result === 'passed'
    ? `survives: ${testId(mutant.caughtBy)} passes although "${mutant.breaks}" does not hold`
    : `does not even load: ${why}`;
}

const mutants = chosen();
say(`${mutants.length} of ${MUTANTS.length} mutants`);
let [passed, failed] = [0, 0];
try {
  for (const mutant of mutants) {
    const problem = await problemOf(mutant);
    if (problem === undefined) passed += 1;
    else {
      failed += 1;
      process.stdout.write(`FAILED mutant ${mutant.name}: ${problem}\n`);
    }
  }
} finally {
  tree.remove();
}
process.stdout.write(`${passed} passed, ${failed} failed, 0 skipped\n`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
