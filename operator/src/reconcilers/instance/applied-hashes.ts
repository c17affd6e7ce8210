/** Longer than a GitOps tool takes from look to look. */
const KEPT_MS = 15 * 60_000;
const MAX_CHILDREN = 50_000;

/**
 * What was applied last to each child, for a while. One that has another hash by then, although we want the same, was
 * not changed by us: somebody has put an older version back.
 */
export class AppliedHashes {
  readonly #last = new Map<string, { hash: string; atMs: number }>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  applied(child: string, hash: string): void {
    const nowMs = this.#nowMs();
    // Newest last in the map.
    this.#last.delete(child);
    this.#last.set(child, { hash, atMs: nowMs });
    for (const [oldest, { atMs }] of this.#last) {
      if (nowMs - atMs < KEPT_MS && this.#last.size <= MAX_CHILDREN) break;
      this.#last.delete(oldest);
    }
  }

  isLast(child: string, hash: string): boolean {
    return this.#last.get(child)?.hash === hash;
  }
}
