import { expect, test } from 'vitest';
import { violationsOf } from './boundaries.ts';

test.each([
  ['the operator importing the API', 'operator/src/a.ts', "import { x } from '@felucca/control-api';"],
  ['the API importing the operator', 'control-api/src/a.ts', "import x from '@felucca/operator';"],
  ['the CLI importing the operator', 'cli/src/a.ts', "import { x } from '@felucca/operator';"],
  ['a program importing the local stack', 'operator/src/a.ts', "const d = await import('@felucca/dev');"],
  ['a path into another workspace', 'operator/src/a.ts', "import x from '../../contract/src/a.ts';"],
  ['I/O in the contract', 'contract/src/a.ts', "import { readFileSync } from 'node:fs';"],
])('%s is a violation', (_what, path, source) => {
  expect(violationsOf(path, source)).toHaveLength(1);
});

test.each([
  ['both programs importing the contract', 'operator/src/a/b.ts', "import x from '@felucca/contract';"],
  ['a test using the local stack', 'operator/test/a.test.ts', "import x from '@felucca/dev';"],
  ['a test of the contract reading files', 'contract/src/a.test.ts', "import x from 'node:fs';"],
  ['a neighbour', 'operator/src/sync/a.ts', "import x from '../runtime/b.ts';"],
])('%s is allowed', (_what, path, source) => {
  expect(violationsOf(path, source)).toEqual([]);
});
