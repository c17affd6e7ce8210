import { expect, test } from 'vitest';
import { RepairThrottle } from './repair-throttle.ts';

test('five repairs of a child in a minute, then it waits until the first of them is a minute ago', () => {
  let nowMs = 0;
  const throttle = new RepairThrottle(() => nowMs);
  for (let repair = 0; repair < 5; repair += 1) {
    nowMs = repair * 1_000;
    expect(throttle.take('uid/Deployment/web')).toBe(0);
  }
  nowMs = 10_000;
  expect(throttle.take('uid/Deployment/web')).toBe(50_000);
  expect(throttle.take('uid/Service/web')).toBe(0);
  nowMs = 60_000;
  expect(throttle.take('uid/Deployment/web')).toBe(0);
  expect(throttle.take('uid/Deployment/web')).toBe(1_000);
});

test('the children of an Instance that is gone do not count for the next one', () => {
  const throttle = new RepairThrottle(() => 0);
  for (let repair = 0; repair < 5; repair += 1) throttle.take('uid/Deployment/web');
  throttle.forget('uid/');
  expect(throttle.take('uid/Deployment/web')).toBe(0);
});
