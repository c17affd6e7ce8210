import { expect, test } from 'vitest';
import { type Report, summarize, total } from './test-summary.ts';

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

const suite = (lastLine: string, exitCode = 0) => ({
  command: 'make test',
  exitCode,
  lastLine,
  seconds: 90,
});

test('several suites are counted one by one, and in one line', () => {
  const { lines, ok } = total([
    suite('5 passed, 0 failed, 1 skipped'),
    suite('300 passed, 0 failed, 2 skipped'),
  ]);
  expect(lines).toEqual([
    'make test: 5 passed, 0 failed, 1 skipped in 1.5 min',
    'make test: 300 passed, 0 failed, 2 skipped in 1.5 min',
    '305 passed, 0 failed, 3 skipped',
  ]);
  expect(ok).toBe(true);
});

test('what there was no time for is named', () => {
  const late = { ...suite('running', 143), isLate: true };
  expect(total([suite('5 passed, 0 failed, 0 skipped'), late], ['make mutants']).lines).toEqual([
    'make test: 5 passed, 0 failed, 0 skipped in 1.5 min',
    'FAILED  make test was ended: the time for all was over; its output is above',
    'make test: 0 passed, 0 failed, 0 skipped in 1.5 min',
    'SKIPPED make mutants: the time for all was over',
    '5 passed, 1 failed, 1 skipped',
  ]);
});

test.each([
  ['that says nothing', suite('make: *** [test] Error 1', 2), '5 passed, 1 failed, 0 skipped'],
  [
    'that ends badly in spite of its counts',
    suite('1 passed, 0 failed, 0 skipped', 1),
    '6 passed, 1 failed, 0 skipped',
  ],
  ['with failures', suite('1 passed, 2 failed, 0 skipped', 1), '6 passed, 2 failed, 0 skipped'],
])('a suite %s is a failure', (_, bad, counts) => {
  const { lines, ok } = total([suite('5 passed, 0 failed, 0 skipped'), bad]);
  expect([lines.at(-1), ok]).toEqual([counts, false]);
});
