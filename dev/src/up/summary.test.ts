import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { Stack } from '../stack/index.ts';
import { summary } from './summary.ts';

const examples = join(import.meta.dirname, '../../../crds/examples/valid');

test('what is ordered next has no name that an example has: both may be tried in one namespace', () => {
  const names = globSync('instance-*.yaml', { cwd: examples })
    .flatMap((file) => parseAllDocuments(readFileSync(join(examples, file), 'utf8')))
    .map((document) => document.toJS().metadata.name);
  const stack = {
    stateDir: '',
    apiUrl: '',
    cluster: { kubeconfigPath: '', logs: {} },
    operator: { logPath: 'log' },
    controlApi: { logPath: 'log' },
    postgres: {},
    dataPlane: { name: 'dev' },
  } as unknown as Stack;
  const [, ordered] = /-d '\{"name":"([a-z-]+)","dataPlane"/.exec(summary(stack, '/cli/felucca')) ?? [];
  expect(names).toContain('site');
  expect(ordered).toBeDefined();
  expect(names).not.toContain(ordered);
});
