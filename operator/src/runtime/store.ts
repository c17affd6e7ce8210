import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '@felucca/contract';
import type { Logger } from 'pino';
import type { Clock } from './clock.ts';
import { isOlder } from './resources.ts';

export interface StoreEvent<T> {
  type: 'added' | 'updated' | 'deleted';
  /** `namespace/name` or `name`. */
  key: string;
  object: T;
  /** What the store held until now. */
  before: T | undefined;
  /** Part of the first list: queue it with low priority. What a relist finds changed is not. */
  initial: boolean;
  /** Known from the answer to our own write, before the watch told it. */
  own: boolean;
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
  /** What `learn` brought further than the watch is: key → the version that it has to reach. Oldest first. */
  readonly #ahead = new Map<string, string>();
  readonly #indexes = new Map<string, Map<string, Set<string>>>();
  readonly #listeners = new Set<(event: StoreEvent<T>) => void>();
  #heardMs: number;
  /** Up to here the watch has told everything. */
  #toldVersion = '0';
  /** A list is under way, which may be of another history than what is here. */
  #isListing = false;
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

  /** What the watch or a list tells; nothing when we are further by our own write. */
  put(key: string, object: T, initial: boolean): void {
    const before = this.#objects.get(key);
    if (before && this.#isAhead(key) && isOlder(versionOf(object), versionOf(before))) return;
    this.#set(key, object, { initial, own: false });
  }

  /**
   * What the API server answered to our own write, so that nobody acts on less than what we did ourselves. The
   * watch may be further already: then it has told of this write, and perhaps of the object's end.
   */
  learn(key: string, object: T): void {
    const version = versionOf(object);
    if (!this.#isSynced || !isOlder(this.#toldVersion, version)) return;
    const before = this.#objects.get(key);
    if (before && !isOlder(versionOf(before), version)) return;
    this.#ahead.delete(key);
    this.#ahead.set(key, version);
    this.#set(key, object, { initial: false, own: true });
  }

  /**
   * A watch tells versions in order, so one that it is beyond is a repetition of something old, whoever repeats it:
   * taken in, it would stay until the object changes again.
   */
  hasPassed(key: string, resourceVersion: string): boolean {
    const known = this.#objects.get(key);
    return !isOlder(known ? versionOf(known) : this.#toldVersion, resourceVersion);
  }

  /** Whether this very version of the object is here, so that nobody need read it. */
  knows(key: string, resourceVersion: string): boolean {
    return !this.#isListing && this.#objects.get(key)?.metadata.resourceVersion === resourceVersion;
  }

  /**
   * A list is asked for, and what we wrote until now is in it. If etcd was restored meanwhile it is of another history, which
   * counts on from the backup: then the list counts, also where an object has the very version that it has here.
   */
  beginList(): void {
    this.#ahead.clear();
    this.#isListing = true;
  }

  /** The watch, or a complete list, has told everything up to this version. */
  told(resourceVersion: string): void {
    this.#toldVersion = resourceVersion;
    this.#isListing = false;
    for (const [key, version] of this.#ahead) {
      if (isOlder(resourceVersion, version)) return;
      this.#ahead.delete(key);
    }
  }

  /** `last` is the object's final state, when the API server told it. */
  remove(key: string, initial: boolean, last?: T): void {
    const before = this.#objects.get(key);
    if (!before) return;
    // A list from before our write, or the end of the object that had this name before ours.
    if (this.#isAhead(key) && last?.metadata.uid !== before.metadata.uid) return;
    this.#ahead.delete(key);
    this.#objects.delete(key);
    this.#reindex(key, before, undefined);
    this.#tell({ type: 'deleted', key, object: last ?? before, before, initial, own: false });
  }

  #isAhead(key: string): boolean {
    const version = this.#ahead.get(key);
    return version !== undefined && isOlder(this.#toldVersion, version);
  }

  #set(key: string, object: T, how: Pick<StoreEvent<T>, 'initial' | 'own'>): void {
    const before = this.#objects.get(key);
    // A repetition: nothing happened.
    if (this.knows(key, versionOf(object)) || (this.#isListing && isDeepStrictEqual(before, object))) return;
    this.#objects.set(key, object);
    this.#reindex(key, before, object);
    // A new UID under an old name: the deletion was missed, and whoever listens must hear of it.
    if (before && before.metadata.uid !== object.metadata.uid) {
      this.#tell({ type: 'deleted', key, object: before, before, ...how });
      this.#tell({ type: 'added', key, object, before: undefined, ...how });
    } else this.#tell({ type: before ? 'updated' : 'added', key, object, before, ...how });
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

const versionOf = ({ metadata }: KubeObject): string => metadata.resourceVersion ?? '0';
