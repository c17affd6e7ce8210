interface Entry {
  dueMs: number;
  key: string;
}

/** Keys that become due later: a binary heap; each key is in it once, with its earliest time. */
export class DelayedKeys {
  readonly #heap: Entry[] = [];
  /** What counts: an entry of the heap that differs from this is stale and skipped. */
  readonly #dueMs = new Map<string, number>();

  get size(): number {
    return this.#dueMs.size;
  }

  add(key: string, dueMs: number): void {
    const current = this.#dueMs.get(key);
    if (current !== undefined && current <= dueMs) return;
    this.#dueMs.set(key, dueMs);
    this.#push({ key, dueMs });
    // Stale entries are bounded too: rebuilt when they are the majority.
    if (this.#heap.length > 64 && this.#heap.length > 2 * this.#dueMs.size) this.#rebuild();
  }

  remove(key: string): void {
    this.#dueMs.delete(key);
  }

  nextDueMs(): number | undefined {
    this.#dropStale();
    return this.#heap[0]?.dueMs;
  }

  /** Takes the earliest key that is due. */
  takeDue(nowMs: number): string | undefined {
    const next = this.nextDueMs();
    if (next === undefined || next > nowMs) return undefined;
    const { key } = this.#pop()!;
    this.#dueMs.delete(key);
    return key;
  }

  clear(): void {
    this.#heap.length = 0;
    this.#dueMs.clear();
  }

  #dropStale(): void {
    for (let top = this.#heap[0]; top && this.#dueMs.get(top.key) !== top.dueMs; top = this.#heap[0])
      this.#pop();
  }

  #rebuild(): void {
    this.#heap.length = 0;
    for (const [key, dueMs] of this.#dueMs) this.#push({ key, dueMs });
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let index = heap.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (heap[parent]!.dueMs <= entry.dueMs) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = entry;
  }

  #pop(): Entry | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (!last || heap.length === 0) return top;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.dueMs < heap[child]!.dueMs) child++;
      if (heap[child]!.dueMs >= last.dueMs) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
    return top;
  }
}
