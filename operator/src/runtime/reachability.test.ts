import { expect, test } from 'vitest';
import { ManualClock } from './manual-clock.ts';
import { Reachability } from './reachability.ts';

test('requests are known to work from the last failure to the last answer', async () => {
  const clock = new ManualClock();
  const seen = new Reachability(clock);
  await clock.advance(1_000);
  // Nobody asked, so nothing is known.
  expect([seen.steadyMs, seen.trouble]).toEqual([0, undefined]);
  seen.answered();
  expect(seen.steadyMs).toBe(1_000);
  await clock.advance(1_000);
  seen.failed('no answer');
  expect([seen.steadyMs, seen.trouble]).toEqual([0, 'no answer']);
  await clock.advance(5_000);
  seen.answered();
  expect([seen.steadyMs, seen.trouble]).toEqual([5_000, undefined]);
});
