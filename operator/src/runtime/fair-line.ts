/**
 * Keys that wait, fairly between flows (tenants): each flow is a FIFO, and the flows take turns. Whoever brings a
 * thousand keys delays another flow's next key by one turn and not by a thousand.
 */
export class FairLine {
  readonly #flowOf: (key: string) => string;
  /** Flow → key → since when it waits. A Map keeps insertion order: the first flow has the next turn. */
  readonly #flows = new Map<string, Map<string, number>>();
  #size = 0;

  constructor(flowOf: (key: string) => string) {
    this.#flowOf = flowOf;
  }

  get size(): number {
    return this.#size;
  }

  /** Since when the key waits; undefined when it does not. */
  since(key: string): number | undefined {
    return this.#flows.get(this.#flowOf(key))?.get(key);
  }

  add(key: string, sinceMs: number): void {
    const flow = this.#flowOf(key);
    const keys = this.#flows.get(flow);
    if (!keys?.has(key)) this.#size += 1;
    if (keys) keys.set(key, sinceMs);
    else this.#flows.set(flow, new Map([[key, sinceMs]]));
  }

  remove(key: string): void {
    const flow = this.#flowOf(key);
    const keys = this.#flows.get(flow);
    if (!keys?.delete(key)) return;
    this.#size -= 1;
    if (keys.size === 0) this.#flows.delete(flow);
  }

  /** Whose turn it is, without taking it. */
  peek(): { key: string; sinceMs: number } | undefined {
    for (const keys of this.#flows.values()) for (const [key, sinceMs] of keys) return { key, sinceMs };
    return undefined;
  }

  /** Takes what `peek` showed; its flow goes to the end of the turns. */
  take(): void {
    for (const [flow, keys] of this.#flows)
      for (const key of keys.keys()) {
        keys.delete(key);
        this.#size -= 1;
        this.#flows.delete(flow);
        if (keys.size > 0) this.#flows.set(flow, keys);
        return;
      }
  }
}
