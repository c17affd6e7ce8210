import { type DriftItem, FEED_KINDS, type FeedKind, type StatusItem } from '@felucca/contract';
import type { LiveObject } from '../sync/cluster.ts';
import type { Watches } from '../sync/watches.ts';
import { newDrift, type ObservedObject, observe } from './observe.ts';

export interface Observations {
  status(item: Omit<StatusItem, 'observedSeq'>): void;
  drift(item: DriftItem): void;
}

/** An object that the sync is writing right now is not "local" just because its stamp is not there yet. */
export type IsIncoming = (kind: FeedKind, object: LiveObject) => boolean;

/** Watches the caches and says what changed; it never asks the API server for anything. */
export class Observer {
  private readonly watches: Watches;
  private readonly isIncoming: IsIncoming;
  private readonly out: Observations;
  /** UIDs of objects that were reported as applied on this cluster. */
  private readonly locals = new Set<string>();
  private stops: (() => void)[] = [];

  constructor(watches: Watches, isIncoming: IsIncoming, out: Observations) {
    this.watches = watches;
    this.isIncoming = isIncoming;
    this.out = out;
  }

  start(): void {
    for (const kind of FEED_KINDS)
      this.stops.push(
        this.watches[kind].listen({
          upserted: (object, before) => this.say(kind, object, before),
          removed: (object) => this.gone(kind, object),
        }),
      );
    this.reportAll();
  }

  /** A new process, or a control plane that may have forgotten: everything again. */
  reportAll(): void {
    for (const kind of FEED_KINDS)
      for (const object of this.watches[kind].all()) this.say(kind, object, undefined);
  }

  stop(): void {
    for (const stop of this.stops) stop();
    this.stops = [];
  }

  private say(kind: FeedKind, object: LiveObject, before: LiveObject | undefined): void {
    if (this.isIncoming(kind, object)) return;
    const item = observe(kind, object as ObservedObject);
    if (item) this.out.status(item);
    this.noteLocal(kind, object, item, before);
    const drift = newDrift(kind, before as ObservedObject | undefined, object as ObservedObject);
    for (const record of drift) this.out.drift(record);
  }

  /** An operator that stopped between its two first writes takes the object for a local one until it is stamped. */
  private noteLocal(
    kind: FeedKind,
    object: LiveObject,
    item: ReturnType<typeof observe>,
    before: LiveObject | undefined,
  ): void {
    const { uid } = object.metadata;
    if (!uid) return;
    if (item?.local) this.locals.add(uid);
    else if (this.locals.delete(uid) && before) this.sayGone(kind, before);
  }

  /** Ends of controlled objects are told by the sync, which knows whether a tombstone was the cause. */
  private gone(kind: FeedKind, object: LiveObject): void {
    if (object.status?.desired || this.isIncoming(kind, object)) return;
    this.locals.delete(object.metadata.uid ?? '');
    this.sayGone(kind, object);
  }

  private sayGone(kind: FeedKind, object: LiveObject): void {
    const item = observe(kind, object as ObservedObject);
    if (item) this.out.status({ ...item, conditions: [], deleted: true });
  }
}
