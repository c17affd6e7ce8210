import { Problem } from './problems.ts';

export interface Bucket {
  /** Takes nothing. */
  isEmpty(): boolean;
  /** False when it is empty. */
  take(): boolean;
}

/** Token bucket: `perSecond` on average, `atOnce` after a time in which nobody came. */
export function createBucket(perSecond: number, now: () => number, atOnce = perSecond): Bucket {
  let tokens = atOnce;
  let lastMs = now();
  const isEmpty = (): boolean => {
    const time = now();
    tokens = Math.min(atOnce, tokens + ((time - lastMs) * perSecond) / 1_000);
    lastMs = time;
    return tokens < 1;
  };
  return {
    isEmpty,
    take: () => {
      if (isEmpty()) return false;
      tokens -= 1;
      return true;
    },
  };
}

/** A bucket whose refusal is an answer. @param what "… are being looked up": what there is too much of */
export function createRateLimit(perSecond: number, now: () => number, what: string): () => void {
  const bucket = createBucket(perSecond, now);
  return () => {
    if (!bucket.take())
      throw new Problem('RATE_LIMITED', `Too many ${what} at once; try again.`, { retryAfterSeconds: 1 });
  };
}
