import { expect, test } from 'vitest';
import { StatusPatience } from './status-patience.ts';

test('a status waits once, for as long as the first look allowed', () => {
  let now = 0;
  const patience = new StatusPatience({ nowMs: () => now });
  expect(patience.waitMs('a')).toBe(1_000);
  now = 400;
  expect(patience.waitMs('a')).toBe(600);
  expect(patience.waitMs('b')).toBe(1_000);
  now = 1_001;
  expect(patience.waitMs('a')).toBe(0);
  expect(patience.waitMs('a')).toBe(0);
  expect(patience.waitMs('b')).toBe(399);
});

test('after a write the next one waits anew', () => {
  let now = 0;
  const patience = new StatusPatience({ nowMs: () => now });
  patience.waitMs('a');
  now = 5_000;
  patience.forget('a');
  expect(patience.waitMs('a')).toBe(1_000);
});

test('the more are in progress the longer each waits, up to a minute', () => {
  let now = 0;
  const patience = new StatusPatience({ nowMs: () => now });
  const begin = (from: number, to: number): void => {
    for (let n = from; n < to; n += 1) patience.waitMs(`other-${n}`);
  };
  begin(0, 49);
  expect(patience.waitMs('a')).toBe(1_000);
  begin(49, 499);
  now = 4_000;
  expect(patience.waitMs('a')).toBe(6_000);
  begin(499, 9_999);
  expect(patience.waitMs('a')).toBe(56_000);
  for (let n = 0; n < 9_999; n += 1) patience.forget(`other-${n}`);
  expect(patience.waitMs('a')).toBe(0);
});
