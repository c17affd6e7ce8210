import { pseudoRandom } from '@felucca/dev/pseudo-random';

/** Numbers that a text decides: the same seed gives the same operation wherever and whenever it runs. */
export class Random {
  readonly #random: () => number;

  constructor(seed: string) {
    // FNV-1a: any text becomes 32 bits.
    let bits = 0x811c9dc5;
    for (const char of seed) bits = Math.imul(bits ^ (char.codePointAt(0) ?? 0), 0x01000193);
    this.#random = pseudoRandom(bits);
  }

  /** In [0, 1). */
  next(): number {
    return this.#random();
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** @throws for an empty list. */
  pick<T>(items: readonly T[]): T {
    const item = items[this.between(0, items.length - 1)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }
}
