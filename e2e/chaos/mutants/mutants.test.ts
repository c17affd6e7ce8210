import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MUTANTS } from './all-mutants.ts';

const repository = join(import.meta.dirname, '../../..');

test('there are at least 30 mutants, each with a name of its own', () => {
  expect(MUTANTS.length).toBeGreaterThanOrEqual(30);
  expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
});

test.each(MUTANTS.map((mutant) => [mutant.name, mutant] as const))(
  '%s is about the code as it is',
  (_, mutant) => {
    const source = readFileSync(join(repository, mutant.file), 'utf8');
    const remedy = `the text of this mutant must occur once in ${mutant.file}: bring e2e/chaos/mutants up to date`;
    expect(source.split(mutant.find).length - 1, remedy).toBe(1);
    expect(mutant.replace).not.toBe(mutant.find);
    expect(existsSync(join(repository, mutant.caughtBy.file)), `${mutant.caughtBy.file} exists`).toBe(true);
  },
);
