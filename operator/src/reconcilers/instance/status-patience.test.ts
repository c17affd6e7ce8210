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

test('in a burst it waits longer, and no longer than that', () => {
  let now = 0;
  const patience = new StatusPatience({ nowMs: () => now });
  patience.waitMs('a');
  const others = Array.from({ length: 16 }, (_, n) => `other-${n}`);
  for (const uid of others) patience.waitMs(uid);
  now = 4_000;
  expect(patience.waitMs('a')).toBe(6_000);
  now = 10_000;
  expect(patience.waitMs('a')).toBe(0);
  now = 4_000;
  for (const uid of others) patience.forget(uid);
  expect(patience.waitMs('a')).toBe(0);
});
