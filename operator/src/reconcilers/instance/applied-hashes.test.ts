import { expect, test } from 'vitest';
import { AppliedHashes } from './applied-hashes.ts';

test('only what was applied last is known, child by child', () => {
  const applied = new AppliedHashes(() => 0);
  expect(applied.isLast('uid/Deployment/web', 'h1')).toBe(false);
  applied.applied('uid/Deployment/web', 'h1');
  expect(applied.isLast('uid/Deployment/web', 'h1')).toBe(true);
  expect(applied.isLast('uid/Service/web', 'h1')).toBe(false);
  applied.applied('uid/Deployment/web', 'h2');
  expect(applied.isLast('uid/Deployment/web', 'h1')).toBe(false);
});

test('what was applied long ago is forgotten when something else is applied', () => {
  let nowMs = 0;
  const applied = new AppliedHashes(() => nowMs);
  applied.applied('old', 'h1');
  applied.applied('again', 'h1');
  nowMs = 14 * 60_000;
  applied.applied('again', 'h1');
  nowMs = 16 * 60_000;
  applied.applied('new', 'h1');
  expect(['old', 'again', 'new'].map((child) => applied.isLast(child, 'h1'))).toEqual([false, true, true]);
});
