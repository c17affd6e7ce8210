import { expect, test } from 'vitest';
import { type Report, summarize } from './test-summary.ts';

const file = (status: string, tests: string[], message = ''): Report['testResults'][number] => ({
  name: '/repo/a/a.test.ts',
  status,
  message,
  assertionResults: tests.map((test, index) => ({ status: test, fullName: `test ${index}` })),
});
const report = (...testResults: Report['testResults'][number][]): Report => ({
  numPassedTests: 0,
  testResults,
});

test('counts come last and skipped tests are named', () => {
  const { lines, ok } = summarize(report(file('passed', ['passed', 'skipped', 'passed'])), 0, '/repo');
  expect(lines).toEqual(['SKIPPED a/a.test.ts: test 1', '2 passed, 0 failed, 1 skipped']);
  expect(ok).toBe(true);
});

test('a file whose set-up failed counts as a failure', () => {
  const { lines, ok } = summarize(report(file('failed', ['skipped'], 'no cluster')), 1, '/repo');
  expect(lines.at(-1)).toBe('0 passed, 1 failed, 1 skipped');
  expect(ok).toBe(false);
});

test.each([
  ['no report at all', undefined, 1],
  ['an error outside of the tests', report(file('passed', ['passed'])), 1],
  ['no test at all', report(), 0],
])('%s is not a success', (_what, given, exitCode) => {
  expect(summarize(given, exitCode, '/repo').ok).toBe(false);
});
