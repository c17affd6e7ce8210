import { expect, test } from 'vitest';
import { createBackpressure } from './backpressure.ts';

const options = { maxReports: 3, maxBytes: 1_000, random: () => 0.5 };

test('beyond so many reports the next is told when to come again, and has room when one is over', () => {
  const pressure = createBackpressure(options);
  const [first] = [pressure.enter(1), pressure.enter(1), pressure.enter(1)];
  expect(() => pressure.enter(1)).toThrow(expect.objectContaining({ status: 429, retryAfterSeconds: 3 }));
  first?.();
  // Twice, as a connection may end after its answer: it counts once.
  first?.();
  pressure.enter(1);
  expect(pressure.reports).toBe(3);
  expect(() => pressure.enter(1)).toThrow('Many operators report');
});

test('a few large reports are as many as they weigh', () => {
  const pressure = createBackpressure(options);
  const over = pressure.enter(900);
  expect(() => pressure.enter(101)).toThrow('Many operators report');
  pressure.enter(100);
  over();
  pressure.enter(900);
});
