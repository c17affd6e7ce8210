import { createBucket } from '../http/bucket.ts';

export interface AdmissionOptions {
  perSecond: number;
  /** After a time in which nobody came. */
  atOnce: number;
  /** Admitted and not answered yet. A process that is slower than its rate must not collect those who give up waiting. */
  underWay: number;
  /** Monotonic milliseconds. */
  now: () => number;
}

/** Nobody is told to wait longer; a crowd beyond it is put off again. */
const MAX_WAIT_MS = 60_000;

/** So many hellos a second, and for everybody else a time to come again. */
export interface Admission {
  /** Asked before a credential is looked at: to refuse must cost less than to admit. Takes nothing. */
  isExhausted(): boolean;
  /** True is an admission, which ends with `answered`. */
  take(): boolean;
  answered(): void;
  /** Each that is put off gets the place behind the last one, so that a crowd comes back as fast as it can be admitted. */
  waitSeconds(): number;
}

export function createAdmission({ perSecond, atOnce, underWay, now }: AdmissionOptions): Admission {
  const bucket = createBucket(perSecond, now, atOnce);
  let unanswered = 0;
  let lastPlaceMs = now();
  return {
    isExhausted: () => unanswered >= underWay || bucket.isEmpty(),
    take: () => {
      if (unanswered >= underWay || !bucket.take()) return false;
      unanswered += 1;
      return true;
    },
    answered: () => {
      unanswered -= 1;
    },
    waitSeconds: () => {
      const timeMs = now();
      const place = Math.max(lastPlaceMs, timeMs) + 1_000 / perSecond;
      lastPlaceMs = Math.min(place, timeMs + MAX_WAIT_MS);
      return Math.max(1, Math.ceil((lastPlaceMs - timeMs) / 1_000));
    },
  };
}
