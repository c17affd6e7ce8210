import type { KubeObject } from '@felucca/contract';
import type { Gvr } from './resources.ts';
import type { Indexers, Store } from './store.ts';

export interface ReflectorOptions<T extends KubeObject> {
  gvr: Gvr;
  /** Undefined: all namespaces. */
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  /** Keeps only what is needed of an object; default all but managedFields. */
  project?: (object: KubeObject) => T;
  indexers?: Indexers<T>;
  /** A watch that says nothing (not even a bookmark, which comes every minute) for this long is dead. Default 150 s. */
  silentMs?: number;
}

/** Keeps a store equal to what the API server has. */
export interface Reflector<T extends KubeObject> {
  readonly store: Store<T>;
  /** Runs until the signal aborts; never rejects. */
  run(signal: AbortSignal): Promise<void>;
}
