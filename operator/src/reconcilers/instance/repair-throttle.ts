/** Repairs of one child per window; a fight with another controller must not melt the API server. */
const MAX_REPAIRS = 5;
const WINDOW_MS = 60_000;
const MAX_CHILDREN = 50_000;

/**
 * Counts repairs per child. Beyond the limit the drift is still recorded and reported; the repair waits,
 * and the caller comes back when `waitMs` has passed.
 */
export class RepairThrottle {
  readonly #repairs = new Map<string, number[]>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** 0: go ahead, it is counted. Else how long to wait. */
  take(child: string): number {
    const now = this.#nowMs();
    const recent = (this.#repairs.get(child) ?? []).filter((at) => now - at < WINDOW_MS);
    const [oldest] = recent;
    if (recent.length >= MAX_REPAIRS && oldest !== undefined) return Math.ceil(WINDOW_MS - (now - oldest));
    // Newest last in the map, so the bound drops the child that has been quiet longest.
    this.#repairs.delete(child);
    this.#repairs.set(child, [...recent, now]);
    const [first] = this.#repairs.keys();
    if (this.#repairs.size > MAX_CHILDREN && first !== undefined) this.#repairs.delete(first);
    return 0;
  }

  forget(prefix: string): void {
    for (const child of this.#repairs.keys()) if (child.startsWith(prefix)) this.#repairs.delete(child);
  }
}
