import { expect, test } from 'vitest';
import { StatusPatience } from './status-patience.ts';

test('a status waits once, for as long as the first look allowed', () => {
  let now = 0;
  const patience = new StatusPatience(1_000, () => now);
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
  const patience = new StatusPatience(1_000, () => now);
  patience.waitMs('a');
  now = 5_000;
  patience.forget('a');
  expect(patience.waitMs('a')).toBe(1_000);
});
