import { Problem } from './problems.ts';

/** Token bucket: `perSecond` on average, as many at once. */
export function createBucket(perSecond: number, now: () => number): () => boolean {
  let tokens = perSecond;
  let lastMs = now();
  return () => {
    const time = now();
    tokens = Math.min(perSecond, tokens + ((time - lastMs) * perSecond) / 1_000);
    lastMs = time;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  };
}

/** A bucket whose refusal is an answer. @param what "… are being looked up": what there is too much of */
export function createAdmission(perSecond: number, now: () => number, what: string): () => void {
  const admit = createBucket(perSecond, now);
  return () => {
    if (!admit())
      throw new Problem('RATE_LIMITED', `Too many ${what} at once; try again.`, { retryAfterSeconds: 1 });
  };
}
