import type { KubeObject } from '@felucca/contract';

const MAX_OBJECTS = 100_000;

/** Versions of objects of one kind can be compared as numbers (KEP-5504), above 2^53 too. */
export const isOlder = (a: string, b: string): boolean => BigInt(a) < BigInt(b);

interface Write {
  uid: string | undefined;
  resourceVersion: string;
}

/** The resourceVersion of our own newest write per object: what the cache must have reached before we act on it. */
export class ReadYourWrites {
  readonly #writes = new Map<string, Write>();

  /** `key` names kind and object. */
  wrote(key: string, { metadata }: Pick<KubeObject, 'metadata'>): void {
    const { uid, resourceVersion } = metadata;
    if (!resourceVersion) return;
    const known = this.#writes.get(key);
    // Answers to two writes may arrive in the other order.
    if (known && known.uid === uid && isOlder(resourceVersion, known.resourceVersion)) return;
    this.#writes.delete(key);
    this.#writes.set(key, { uid, resourceVersion });
    // Bounded: the oldest write has long been seen.
    const [oldest] = this.#writes.keys();
    if (this.#writes.size > MAX_OBJECTS && oldest !== undefined) this.#writes.delete(oldest);
  }

  /** Whether the cache has seen our write. Undefined: the cache has no such object (yet, or any more). */
  isCurrent(key: string, cached: string | undefined): boolean {
    const write = this.#writes.get(key);
    if (!write) return true;
    if (cached === undefined || isOlder(cached, write.resourceVersion)) return false;
    this.#writes.delete(key);
    return true;
  }

  /** The object was deleted: what we wrote to it does not matter any more. */
  forget(key: string): void {
    this.#writes.delete(key);
  }
}
