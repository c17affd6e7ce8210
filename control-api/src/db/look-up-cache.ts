export interface LookUpCacheOptions<T> {
  /** May an id be looked up of which nothing good is known? Throws if not. */
  admit: () => void;
  find: (id: string) => Promise<T | undefined>;
  /** What was found stays true this long: revocation works within it. */
  ttlMs: number;
  /** That there is nothing stays true as long: a flood of made-up ids is looked up once each. */
  remembersMissing: boolean;
  maxEntries: number;
  nowMs: () => number;
}

export interface LookUpCache<T> {
  (id: string): Promise<T | undefined>;
  /** The next look-up asks again. */
  forget(id: string): void;
}

/** id → row; concurrent look-ups of one id share one query. */
export function createLookUpCache<T>(options: LookUpCacheOptions<T>): LookUpCache<T> {
  const { admit, find, ttlMs, remembersMissing, maxEntries, nowMs } = options;
  const cached = new Map<string, { found: Promise<T | undefined>; untilMs: number; isGood: boolean }>();
  const lookUp = async (id: string): Promise<T | undefined> => {
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
    const drop = (): void => {
      if (cached.get(id) === entry) cached.delete(id);
    };
    found.then((row) => {
      entry.isGood = row !== undefined;
      if (row === undefined && !remembersMissing) drop();
    }, drop);
    return found;
  };
  return Object.assign(lookUp, { forget: (id: string) => void cached.delete(id) });
}
