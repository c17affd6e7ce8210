import { describe, expect, test } from 'vitest';
import { ClusterError } from './cluster.ts';
import { FailurePatience, failureOf } from './failure.ts';

const passing = failureOf(new ClusterError(503, 'busy'));
const verdict = failureOf(new ClusterError(403, 'forbidden'));

describe('a failure says what, why and what follows', () => {
  test.each([
    [new ClusterError(0, 'no answer'), 'ApiError', true, /^no answer; it is retried$/],
    [new ClusterError(409, 'conflict'), 'ApiError', true, /^conflict;/],
    [new ClusterError(403, 'forbidden'), 'ApiError', false, /^forbidden;/],
    [
      new TypeError('x is undefined'),
      'InternalError',
      false,
      /mistake \(TypeError: x is undefined\).*report/,
    ],
    ['a text', 'InternalError', false, /mistake \(a text\)/],
  ])('%s', (error, reason, isPassing, message) => {
    expect(failureOf(error)).toEqual({ reason, isPassing, message: expect.stringMatching(message) });
  });
});

describe('of failures are told', () => {
  const attempts = (failure: typeof passing, everyMs: number, count: number, generation = () => 1) => {
    let nowMs = 0;
    const patience = new FailurePatience(() => nowMs);
    return Array.from({ length: count }, () => {
      nowMs += everyMs;
      return patience.isDue('u', generation(), failure, nowMs);
    }).map(Number);
  };

  test('a verdict at once, and then once a minute', () => {
    expect(attempts(verdict, 20_000, 7)).toEqual([1, 0, 0, 1, 0, 0, 1]);
  });
  test('what may pass when it lasts', () => {
    expect(attempts(passing, 4_000, 5)).toEqual([0, 0, 0, 1, 0]);
  });
  test('another generation at once', () => {
    let generation = 0;
    expect(attempts(verdict, 1_000, 3, () => ++generation)).toEqual([1, 1, 1]);
  });
  test('a reconcile that took longer than that at once', () => {
    expect(new FailurePatience(() => 60_000).isDue('u', 1, passing, 0)).toBe(true);
  });
  test('nothing of before once a reconcile went well', () => {
    let nowMs = 0;
    const patience = new FailurePatience(() => nowMs);
    patience.isDue('u', 1, passing, nowMs);
    patience.forget('u');
    nowMs = 11_000;
    expect(patience.isDue('u', 1, passing, nowMs)).toBe(false);
  });
});
