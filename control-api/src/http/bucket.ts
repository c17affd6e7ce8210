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
