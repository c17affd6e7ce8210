import { describe, expect, it } from 'vitest';
import { createAdmission } from './admission.ts';

const PER_SECOND = 400;
const AT_ONCE = 50;

/** A crowd that follows what the server says, as the operator does: at least so long, at most half as long again. */
function storm(agents: number): { admittedAtMs: number[]; putOff: number } {
  let timeMs = 0;
  const admission = createAdmission({
    perSecond: PER_SECOND,
    atOnce: AT_ONCE,
    underWay: 100,
    now: () => timeMs,
  });
  /** How many come in each millisecond; all of them in the first 800. */
  const due: number[] = [];
  for (let n = 0; n < agents; n += 1) due[Math.floor((n * 800) / agents)] = agents / 800;
  const admittedAtMs: number[] = [];
  let putOff = 0;
  // A fixed sequence instead of chance.
  let draw = 0;
  const random = (): number => {
    draw = (draw * 1_103_515_245 + 12_345) % 2_147_483_648;
    return draw / 2_147_483_648;
  };
  for (; timeMs < due.length; timeMs += 1)
    for (let n = 0; n < (due[timeMs] ?? 0); n += 1) {
      if (admission.take()) {
        admittedAtMs.push(timeMs);
        admission.answered();
        continue;
      }
      putOff += 1;
      const minMs = admission.waitSeconds() * 1_000;
      const comesMs = Math.round(timeMs + minMs + random() * (minMs * 0.5 + 500));
      due[comesMs] = (due[comesMs] ?? 0) + 1;
    }
  return { admittedAtMs, putOff };
}

// Invariant L41.
describe('admission of hellos', () => {
  it('lets so many in a second and no more, after a few at once', () => {
    const { admittedAtMs } = storm(4_000);
    for (let start = 0; start < admittedAtMs.at(-1)!; start += 250) {
      const inOneSecond = admittedAtMs.filter((at) => at >= start && at < start + 1_000).length;
      expect(inOneSecond).toBeLessThanOrEqual(PER_SECOND + AT_ONCE);
    }
  });

  it('brings a crowd of 10,000 in within 45 s, with hardly more than one refusal each', () => {
    const { admittedAtMs, putOff } = storm(10_000);
    expect(admittedAtMs.length).toBeGreaterThanOrEqual(10_000);
    expect(admittedAtMs.at(-1)).toBeLessThan(45_000);
    expect(putOff).toBeLessThan(15_000);
  });

  it('never asks for more than a minute, and forgets a crowd that does not come back', () => {
    let timeMs = 0;
    const admission = createAdmission({
      perSecond: PER_SECOND,
      atOnce: AT_ONCE,
      underWay: 100,
      now: () => timeMs,
    });
    while (admission.take()) admission.answered();
    let wait = 0;
    for (let n = 0; n < 100_000; n += 1) wait = admission.waitSeconds();
    expect(wait).toBe(60);
    timeMs += 60_000;
    expect(admission.isExhausted()).toBe(false);
    expect(admission.waitSeconds()).toBe(1);
  });

  it('admits nobody while too many wait for their answer', () => {
    const admission = createAdmission({ perSecond: PER_SECOND, atOnce: AT_ONCE, underWay: 2, now: () => 0 });
    expect([admission.take(), admission.take(), admission.take()]).toEqual([true, true, false]);
    expect(admission.isExhausted()).toBe(true);
    admission.answered();
    expect([admission.take(), admission.take()]).toEqual([true, false]);
  });

  it('does not use up what it is only asked about', () => {
    const admission = createAdmission({ perSecond: 1, atOnce: 1, underWay: 100, now: () => 0 });
    for (let n = 0; n < 10; n += 1) expect(admission.isExhausted()).toBe(false);
    expect(admission.take()).toBe(true);
    expect(admission.isExhausted()).toBe(true);
  });
});
