import type { FeedKind } from '@felucca/contract';
import type { LiveObject, ObjectRef } from './cluster.ts';

export interface WatchListener {
  /** `before` is what the cache held. */
  upserted(object: LiveObject, before: LiveObject | undefined): void;
  removed(object: LiveObject): void;
}

/** A warm cache of one kind. */
export interface KindWatch {
  all(): LiveObject[];
  get(ref: ObjectRef): LiveObject | undefined;
  /** When, by the process' clock, the list was asked for that it goes back to. */
  listedMs(): number;
  /** Returns the unsubscribe function. */
  listen(listener: WatchListener): () => void;
  /** It is known to be wrong: what the API server lists counts. */
  listAgain(why: string): void;
}

export type Watches = Record<FeedKind, KindWatch>;
