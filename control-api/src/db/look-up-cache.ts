export interface LookUpCacheOptions<T> {
  /** May an id be looked up of which nothing good is known? Throws if not. */
  admit: () => void;
  find: (id: string) => Promise<T | undefined>;
  /** What was found, or that there is nothing, stays true this long: revocation works within it. */
  ttlMs: number;
  maxEntries: number;
  nowMs: () => number;
}

/** id → row, also remembering that there is none; concurrent look-ups of one id share one query. */
export function createLookUpCache<T>(options: LookUpCacheOptions<T>): (id: string) => Promise<T | undefined> {
  const { admit, find, ttlMs, maxEntries, nowMs } = options;
  const cached = new Map<string, { found: Promise<T | undefined>; untilMs: number; isGood: boolean }>();
  return async (id) => {
    const hit = cached.get(id);
    if (hit && hit.untilMs > nowMs()) return hit.found;
    cached.delete(id);
    // The oldest goes first: a flood of unknown ids costs known callers one query each.
    for (const old of cached.keys()) {
      if (cached.size < maxEntries) break;
      cached.delete(old);
    }
    if (!hit?.isGood) admit();
    const found = find(id);
    const entry = { found, untilMs: nowMs() + ttlMs, isGood: false };
    cached.set(id, entry);
    found.then(
      (row) => {
        entry.isGood = row !== undefined;
      },
      () => {
        if (cached.get(id) === entry) cached.delete(id);
      },
    );
    return found;
  };
}
