import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { Stack } from '../stack/index.ts';
import { summary } from './summary.ts';

const stack = {
  stateDir: '',
  apiUrl: '',
  cluster: { kubeconfigPath: '', logs: {} },
  operator: { logPath: 'log' },
  controlApi: { logPath: 'log' },
  postgres: {},
  dataPlane: { name: 'dev' },
} as unknown as Stack;
const examples = join(import.meta.dirname, '../../../crds/examples/valid');

test('what is ordered next has no name that an example has: both may be tried in one namespace', () => {
  const names = globSync('instance-*.yaml', { cwd: examples })
    .flatMap((file) => parseAllDocuments(readFileSync(join(examples, file), 'utf8')))
    .map((document) => document.toJS().metadata.name);
  const [, ordered] =
    /-d '\{"name":"([a-z-]+)","dataPlane"/.exec(summary(stack, '/cli/felucca', false)) ?? [];
  expect(names).toContain('site');
  expect(ordered).toBeDefined();
  expect(names).not.toContain(ordered);
});

test('what was ordered the last time is not ordered again, which would be refused, but changed', () => {
  const text = summary(stack, '/cli/felucca', true);
  expect(text).not.toMatch(/POST .*"name":"hello"/);
  expect(text).toMatch(/2\. Change the web page "hello".*\n.* PATCH .*if-match.*\/instances\/hello$/m);
});

test('what the runbooks ask for can be typed here: the address and key of the API, and of the database', () => {
  const here = { ...stack, stateDir: '/state', apiUrl: 'http://api' } as Stack;
  const embedded = { ...here, postgres: { server: { logPath: 'log' } } } as Stack;
  const api = String.raw`FELUCCA_URL=http:\/\/api FELUCCA_KEY_DIR=\/state\/keys \\\n +`;
  expect(summary(embedded, '/cli/felucca', true)).toMatch(
    new RegExp(String.raw`${api}DATABASE_URL=\$\(cat \/state\/embedded-database-url\)`),
  );
  expect(summary(here, '/cli/felucca', true)).toMatch(new RegExp(`${api}DATABASE_URL=<as you gave it>`));
});
