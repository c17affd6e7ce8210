import type { KubeObject } from '@felucca/contract';
import type { Logger } from 'pino';
import type { Clock } from './clock.ts';

export interface StoreEvent<T> {
  type: 'added' | 'updated' | 'deleted';
  /** `namespace/name` or `name`. */
  key: string;
  object: T;
  /** What the store held until now. */
  before: T | undefined;
  /** Part of the first list: queue it with low priority. What a relist finds changed is not. */
  initial: boolean;
}

/** Index name → the values an object is found under, such as its owner's UID. */
export type Indexers<T> = Record<string, (object: T) => readonly string[]>;

/** A warm, read-only cache of one kind. Objects are shared: never change them. */
export interface Store<T extends KubeObject = KubeObject> {
  readonly size: number;
  get(key: string): T | undefined;
  list(): T[];
  /** @throws for an index that was not declared. */
  by(index: string, value: string): T[];
  /** Called after the store has the change. Returns the unsubscribe function. */
  onEvent(listener: (event: StoreEvent<T>) => void): () => void;
  /** Resolves when the store holds what the API server had at the first list. */
  readonly synced: Promise<void>;
  readonly isSynced: boolean;
  /** Milliseconds since the API server last told us anything (event, bookmark, list). */
  ageMs(): number;
}

/** The side of a store that its reflector writes. */
export class ObjectStore<T extends KubeObject> implements Store<T> {
  readonly synced: Promise<void>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #indexers: Indexers<T>;
  readonly #objects = new Map<string, T>();
  readonly #indexes = new Map<string, Map<string, Set<string>>>();
  readonly #listeners = new Set<(event: StoreEvent<T>) => void>();
  #heardMs: number;
  #isSynced = false;
  #markSynced: () => void = () => undefined;

  constructor(options: { clock: Clock; log: Logger; indexers?: Indexers<T> }) {
    this.#clock = options.clock;
    this.#log = options.log;
    this.#indexers = options.indexers ?? {};
    this.#heardMs = this.#clock.nowMs();
    for (const index of Object.keys(this.#indexers)) this.#indexes.set(index, new Map());
    this.synced = new Promise((resolve) => {
      this.#markSynced = resolve;
    });
  }

  get size(): number {
    return this.#objects.size;
  }
  get isSynced(): boolean {
    return this.#isSynced;
  }
  get(key: string): T | undefined {
    return this.#objects.get(key);
  }
  list(): T[] {
    return [...this.#objects.values()];
  }
  by(index: string, value: string): T[] {
    const values = this.#indexes.get(index);
    if (!values)
      throw new Error(`This store has no index "${index}"; declare it in the reflector's indexers.`);
    return [...(values.get(value) ?? [])].map((key) => this.#objects.get(key)!);
  }
  onEvent(listener: (event: StoreEvent<T>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  ageMs(): number {
    return this.#clock.nowMs() - this.#heardMs;
  }

  keys(): Iterable<string> {
    return this.#objects.keys();
  }
  heard(): void {
    this.#heardMs = this.#clock.nowMs();
  }
  markSynced(): void {
    this.#isSynced = true;
    this.#markSynced();
  }

  put(key: string, object: T, initial: boolean): void {
    const before = this.#objects.get(key);
    // A relist repeats what we have: nothing happened.
    if (before && before.metadata.resourceVersion === object.metadata.resourceVersion) return;
    this.#objects.set(key, object);
    this.#reindex(key, before, object);
    // A new UID under an old name: the deletion was missed, and whoever listens must hear of it.
    if (before && before.metadata.uid !== object.metadata.uid) {
      this.#tell({ type: 'deleted', key, object: before, before, initial });
      this.#tell({ type: 'added', key, object, before: undefined, initial });
    } else this.#tell({ type: before ? 'updated' : 'added', key, object, before, initial });
  }

  /** `last` is the object's final state, when the API server told it. */
  remove(key: string, initial: boolean, last?: T): void {
    const before = this.#objects.get(key);
    if (!before) return;
    this.#objects.delete(key);
    this.#reindex(key, before, undefined);
    this.#tell({ type: 'deleted', key, object: last ?? before, before, initial });
  }

  #reindex(key: string, before: T | undefined, after: T | undefined): void {
    for (const [index, valuesOf] of Object.entries(this.#indexers)) {
      const values = this.#indexes.get(index)!;
      for (const value of before ? valuesOf(before) : []) {
        const keys = values.get(value);
        keys?.delete(key);
        if (keys?.size === 0) values.delete(value);
      }
      for (const value of after ? valuesOf(after) : []) {
        const keys = values.get(value);
        if (keys) keys.add(key);
        else values.set(value, new Set([key]));
      }
    }
  }

  #tell(event: StoreEvent<T>): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (err) {
        // A listener's mistake must not stop the watch for everybody else.
        this.#log.error({ err, key: event.key, type: event.type }, 'a listener of the cache failed');
      }
    }
  }
}
