import { type DriftItem, FEED_KINDS, type FeedKind, type StatusItem } from '@felucca/contract';
import type { LiveObject } from '../sync/cluster.ts';
import type { Watches } from '../sync/watches.ts';
import { newDrift, type ObservedObject, observe } from './observe.ts';

export interface Observations {
  status(item: Omit<StatusItem, 'observedSeq'>): void;
  drift(item: DriftItem): void;
}

/** Sensitive outputs of an Instance as they may be told. */
export interface OutputsToTell {
  told(uid: string): Record<string, string> | undefined;
  /** Something about them may have changed. */
  look(instance: LiveObject): void;
  forget(uid: string): void;
}

/** An object that the sync is writing right now is not "local" just because its stamp is not there yet. */
export type IsIncoming = (kind: FeedKind, object: LiveObject) => boolean;

/** Watches the caches and says what changed; it never asks the API server for anything. */
export class Observer {
  private readonly watches: Watches;
  private readonly isIncoming: IsIncoming;
  private readonly out: Observations;
  private readonly outputs: OutputsToTell;
  /** UIDs of objects that were reported as applied on this cluster. */
  private readonly locals = new Set<string>();
  private stops: (() => void)[] = [];

  constructor(watches: Watches, isIncoming: IsIncoming, out: Observations, outputs: OutputsToTell) {
    this.watches = watches;
    this.isIncoming = isIncoming;
    this.out = out;
    this.outputs = outputs;
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

  /** More is to be said of an Instance than is in it; it may have changed or gone meanwhile. */
  sayAgain({ metadata }: LiveObject): void {
    const { name, namespace = '' } = metadata;
    const object = this.watches.Instance.get({ name, namespace });
    if (object && object.metadata.uid === metadata.uid) this.tell('Instance', object);
  }

  stop(): void {
    for (const stop of this.stops) stop();
    this.stops = [];
  }

  private say(kind: FeedKind, object: LiveObject, before: LiveObject | undefined): void {
    if (this.isIncoming(kind, object)) return;
    const item = this.tell(kind, object);
    if (kind === 'Instance') this.outputs.look(object);
    this.noteLocal(kind, object, item, before);
    const drift = newDrift(kind, before as ObservedObject | undefined, object as ObservedObject);
    for (const record of drift) this.out.drift(record);
  }

  private tell(kind: FeedKind, object: LiveObject): ReturnType<typeof observe> {
    const item = observe(kind, object as ObservedObject);
    const sealedOutputs = kind === 'Instance' ? this.outputs.told(object.metadata.uid ?? '') : undefined;
    if (item) this.out.status({ ...item, ...(sealedOutputs ? { sealedOutputs } : {}) });
    return item;
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
    if (kind === 'Instance') this.outputs.forget(object.metadata.uid ?? '');
    if (object.status?.desired || this.isIncoming(kind, object)) return;
    this.locals.delete(object.metadata.uid ?? '');
    this.sayGone(kind, object);
  }

  private sayGone(kind: FeedKind, object: LiveObject): void {
    const item = observe(kind, object as ObservedObject);
    if (item) this.out.status({ ...item, conditions: [], deleted: true });
  }
}
