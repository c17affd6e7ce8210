/** Repairs of one object per window; a fight with another controller must not melt the API server. */
const MAX_REPAIRS = 5;
const WINDOW_MS = 60_000;
const MAX_OBJECTS = 50_000;

/**
 * Counts repairs per object, a child or a guard rail. Beyond the limit the drift is still recorded and reported; the
 * repair waits, and the caller comes back when `waitMs` has passed.
 */
export class RepairThrottle {
  readonly #repairs = new Map<string, number[]>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** 0: go ahead, it is counted. Else how long to wait. */
  take(object: string): number {
    const waitMs = this.waitMs(object);
    if (waitMs === 0) this.count(object);
    return waitMs;
  }

  /** How long a repair would have to wait. */
  waitMs(object: string): number {
    const recent = this.#recent(object);
    const [oldest] = recent;
    if (recent.length < MAX_REPAIRS || oldest === undefined) return 0;
    return Math.ceil(WINDOW_MS - (this.#nowMs() - oldest));
  }

  count(object: string): void {
    const recent = [...this.#recent(object), this.#nowMs()];
    // Newest last in the map, so the bound drops the object that has been quiet longest.
    this.#repairs.delete(object);
    this.#repairs.set(object, recent);
    const [first] = this.#repairs.keys();
    if (this.#repairs.size > MAX_OBJECTS && first !== undefined) this.#repairs.delete(first);
  }

  forget(prefix: string): void {
    for (const object of this.#repairs.keys()) if (object.startsWith(prefix)) this.#repairs.delete(object);
  }

  #recent(object: string): number[] {
    const now = this.#nowMs();
    return (this.#repairs.get(object) ?? []).filter((at) => now - at < WINDOW_MS);
  }
}
