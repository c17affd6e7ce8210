import { describe, expect, test } from 'vitest';
import { type Problem, problemLines, tellProblems } from './problem.ts';

const problems = (count: number): Problem[] =>
  Array.from({ length: count }, (_, n) => ({
    path: `/nodes/${n}`,
    message: 'is wrong; it says "a; b"',
    remedy: 'correct it',
  }));
const line = (n: number) => `/nodes/${n} is wrong; it says "a; b": correct it`;

describe('problems in one text', () => {
  test('are all there as long as they fit', () => {
    expect(problemLines(tellProblems(problems(14), 8_000))).toEqual(
      Array.from({ length: 14 }, (_, n) => line(n)),
    );
  });
  test('end with how many do not fit', () => {
    const text = tellProblems(problems(14), 150);
    expect(text.length).toBeLessThanOrEqual(150);
    expect(problemLines(text)).toEqual([line(0), line(1), 'and 12 more']);
  });
  test('are at least one', () => {
    expect(tellProblems(problems(2), 10)).toBe(`${line(0)}; and 1 more`);
  });
  test('of the whole have the root as their place', () => {
    expect(tellProblems([{ path: '', message: 'is empty', remedy: 'fill it' }], 100)).toBe(
      '/ is empty: fill it',
    );
  });
});

test('a text without problems is one line', () => {
  expect(problemLines('Deployment/a: 0 of 1; see /var/log')).toEqual(['Deployment/a: 0 of 1; see /var/log']);
});
