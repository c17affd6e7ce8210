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
  /** Returns the unsubscribe function. */
  listen(listener: WatchListener): () => void;
  /**
   * Until it goes back to a list that was asked for at this time of the process' clock or later.
   * @throws when it does not get there.
   */
  listedSince(sinceMs: number, signal: AbortSignal): Promise<void>;
}

export type Watches = Record<FeedKind, KindWatch>;
