import { expect, test } from 'vitest';
import { allEnded } from './all-ended.ts';

test('a failure is told when the last has ended, however early it came', async () => {
  let end = (): void => undefined;
  const slow = new Promise<void>((resolve) => {
    end = resolve;
  });
  let told: unknown;
  const all = allEnded([Promise.reject(new Error('refused')), slow]).catch((error: Error) => {
    told = error.message;
  });
  await new Promise(setImmediate);
  expect(told).toBeUndefined();
  end();
  await all;
  expect(told).toBe('refused');
});
