/** At most `size` at a time; the others wait in order. */
export function createSlots(size: number) {
  let free = size;
  const waiting: (() => void)[] = [];
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    }
  };
}

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
