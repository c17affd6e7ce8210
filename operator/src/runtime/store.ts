import type { KubeObject } from '@felucca/contract';

export interface StoreEvent<T> {
  type: 'added' | 'updated' | 'deleted';
  /** `namespace/name` or `name`. */
  key: string;
  object: T;
  /** What the store held until now. */
  before: T | undefined;
  /** Part of the first list or of a relist: queue it with low priority. */
  initial: boolean;
}

/** Index name → the values an object is found under, such as its owner's UID. */
export type Indexers<T> = Record<string, (object: T) => readonly string[]>;

/** A warm, read-only cache of one kind. Objects are shared: never change them. */
export interface Store<T extends KubeObject = KubeObject> {
  readonly size: number;
  get(key: string): T | undefined;
  list(): T[];
  by(index: string, value: string): T[];
  /** Called after the store has the change. Returns the unsubscribe function. */
  onEvent(listener: (event: StoreEvent<T>) => void): () => void;
  /** Resolves when the store holds what the API server had at the first list. */
  readonly synced: Promise<void>;
  readonly isSynced: boolean;
  /** Milliseconds since the API server last told us anything (event, bookmark, list). */
  ageMs(): number;
}
