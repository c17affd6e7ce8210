import { expect, test } from 'vitest';
import { exponentialMs, ReconnectBackoff, retryAfterMs } from './backoff.ts';
import { ManualClock } from './manual-clock.ts';

test('the window doubles up to its cap and starts again after two quiet minutes', async () => {
  const clock = new ManualClock();
  const backoff = new ReconnectBackoff(clock, { random: () => 1 });
  expect(Array.from({ length: 8 }, () => backoff.nextMs())).toEqual([
    800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000,
  ]);
  await clock.advance(120_001);
  expect(backoff.nextMs()).toBe(800);
});

test('jitter is full: any delay from nothing to the window', () => {
  expect(new ReconnectBackoff(new ManualClock(), { random: () => 0 }).nextMs()).toBe(0);
});

test('no number of failures overflows', () => {
  expect(exponentialMs(100_000, 5, 1_000_000)).toBe(1_000_000);
});

test('Retry-After is seconds or a date, and never longer than allowed', () => {
  const nowMs = Date.parse('2026-01-01T00:00:00Z');
  expect(retryAfterMs('2', nowMs)).toBe(2_000);
  expect(retryAfterMs('Thu, 01 Jan 2026 00:00:03 GMT', nowMs)).toBe(3_000);
  expect(retryAfterMs('Wed, 31 Dec 2025 00:00:00 GMT', nowMs)).toBe(0);
  expect(retryAfterMs('86400', nowMs)).toBe(60_000);
  for (const nothing of [undefined, '', 'soon']) expect(retryAfterMs(nothing, nowMs)).toBeUndefined();
});
