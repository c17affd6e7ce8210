/** A JWT id is good once. Memory is bounded per key and in all; beyond it requests are refused, never waved through. */
export interface ReplayCache {
  /** `replayed`: seen before; `full`: too many requests of this key in the window. */
  use(kid: string, jti: string): 'fresh' | 'replayed' | 'full';
}

export function createReplayCache(options: {
  /** As long as a JWT can be valid. */
  windowMs: number;
  perKey: number;
  inAll: number;
  /** Monotonic milliseconds. */
  now: () => number;
}): ReplayCache {
  const { windowMs, perKey, inAll, now } = options;
  // Insertion order is expiry order, because every entry lives equally long.
  const seen = new Map<string, { kid: string; untilMs: number }>();
  const counts = new Map<string, number>();

  const forgetExpired = (time: number): void => {
    for (const [id, { kid, untilMs }] of seen) {
      if (untilMs > time) return;
      seen.delete(id);
      const left = (counts.get(kid) ?? 1) - 1;
      if (left > 0) counts.set(kid, left);
      else counts.delete(kid);
    }
  };

  return {
    use: (kid, jti) => {
      const time = now();
      forgetExpired(time);
      const id = `${kid}\n${jti}`;
      if (seen.has(id)) return 'replayed';
      const used = counts.get(kid) ?? 0;
      if (used >= perKey || seen.size >= inAll) return 'full';
      seen.set(id, { kid, untilMs: time + windowMs });
      counts.set(kid, used + 1);
      return 'fresh';
    },
  };
}
