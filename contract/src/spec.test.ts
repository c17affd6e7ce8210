import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, test } from 'vitest';

const repository = join(import.meta.dirname, '../..');
const spec = readFileSync(join(repository, 'contract/SPEC.md'), 'utf8');

/** Invariant → files that prove it, as SPEC.md has it. */
const named = new Map(
  [...spec.matchAll(/^\| (L\d+) \| .+ \| (.+) \|$/gm)].map(([, id = '', proof = '']) => [
    id,
    [...proof.matchAll(/\]\(([^)]+)\)/g)].map(([, path = '']) => normalize(`contract/${path}`)).sort(),
  ]),
);

const tests = ['contract', 'control-api', 'operator', 'e2e', 'bench'].flatMap((workspace) =>
  readdirSync(join(repository, workspace), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.ts') && !path.includes('node_modules'))
    .map((path) => join(workspace, path)),
);

/** The same as the tests have it: a line `// Invariant L1, L2.` right above each. */
function claimed(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const file of tests) {
    const text = readFileSync(join(repository, file), 'utf8');
    for (const [, ids = ''] of text.matchAll(
      /^ *\/\/ Invariant ((?:L\d+(?:, )?)+)\.\n *(?:it|test|describe)\b/gm,
    ))
      for (const id of ids.split(', ')) found.set(id, [...new Set([...(found.get(id) ?? []), file])].sort());
  }
  return found;
}

test('every invariant of the link names the tests that prove it, and every such test its invariant', () => {
  expect(named.size).toBeGreaterThan(30);
  expect([...named.keys()]).toEqual([...named.keys()].map((_, index) => `L${index + 1}`));
  const proofs = claimed();
  expect(Object.fromEntries([...proofs].sort())).toEqual(Object.fromEntries([...named].sort()));
});

test('every file that the specification points at is there', () => {
  const folder = dirname(join(repository, 'contract/SPEC.md'));
  for (const [, path = ''] of spec.matchAll(/\]\(([^)]+)\)/g))
    expect(() => readFileSync(join(folder, path)), path).not.toThrow();
});
