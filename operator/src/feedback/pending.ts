import {
  canonicalJson,
  type DriftItem,
  type FeedKind,
  type HeldObject,
  type Nack,
  type StatusItem,
} from '@felucca/contract';

/** One report's worth of items, before the envelope. */
export interface Batch {
  status: StatusItem[];
  nacks: Nack[];
  drift: DriftItem[];
  unknown: HeldObject[];
  ack?: { cursor: string; digest: string };
  sealingKey?: string;
}

export interface BatchLimits {
  items: number;
  bytes: number;
}

/** Drift records wait at most this many; older ones are dropped first, the object's status keeps its count. */
export const MAX_PENDING_DRIFT = 2_000;
/** Objects that the control plane does not take, or that were seen after their end; more are simply reported again. */
export const MAX_UNWANTED = 2_000;

/**
 * What the control plane has not accepted yet: one item per key, the newest. Memory is bounded by the number
 * of objects, however long the API is away.
 */
export class Pending {
  private readonly status = new Map<string, StatusItem>();
  private readonly nacks = new Map<string, Nack>();
  private readonly unknown = new Map<string, HeldObject>();
  private drift: DriftItem[] = [];
  private ack: { cursor: string; digest: string } | undefined;
  private ackedCursor: string | undefined;
  private sealingKey: { value: string; isTold: boolean } | undefined;
  /** Digest of what was last accepted per object, so that an unchanged one is not sent again. */
  private readonly accepted = new Map<string, string>();
  /** Content on its way: an object that changes back meanwhile differs from it, whatever was accepted before. */
  private readonly inFlight = new Map<string, string>();
  /** Ends on their way that are no longer true: nobody needs to hear of them again. */
  private readonly refuted = new Set<string>();
  /** What it refused of an object whose row it has lost; told again when there is one. */
  private readonly early = new Map<string, StatusItem>();
  /** What came of an object while its end waited, and nothing newer since; said if the object is wanted again. */
  private readonly late = new Map<string, StatusItem>();
  /** What the control plane refused, the newest of each object: it waits until somebody asks again. */
  private readonly unwanted = new Map<string, StatusItem>();
  droppedDrift = 0;

  get size(): number {
    const items = this.status.size + this.nacks.size + this.unknown.size + this.drift.length;
    return items + (this.ack ? 1 : 0) + (this.sealingKey?.isTold === false ? 1 : 0);
  }

  /** False when the control plane has this already. */
  addStatus(item: StatusItem): boolean {
    const name = itemName(item);
    const waiting = this.status.get(name);
    if (item.deleted) this.refuted.delete(name);
    // It was made anew for an order that came after this end.
    if (item.deleted && waiting && waiting.generation > item.generation) return false;
    // Of one generation an id lives once: what a watch still says of it after its end is late, unless that turns out to be
    // no end.
    if (waiting?.deleted && !item.deleted && item.generation <= waiting.generation) {
      this.keepLate(name, item);
      return false;
    }
    this.late.delete(name);
    if (this.unwanted.has(name)) {
      // Nobody up there knows it, so nobody needs to hear of its end either.
      if (item.deleted) this.unwanted.delete(name);
      else this.unwanted.set(name, item);
      return false;
    }
    if ((this.inFlight.get(name) ?? this.accepted.get(name)) === contentOf(item)) {
      this.status.delete(name);
      return false;
    }
    this.status.set(name, item);
    return true;
  }
  /** The object is wanted or here again: what waits of its end is no longer true. */
  dropEnd(item: { kind: FeedKind; key: string; id: string }): void {
    const name = itemName(item);
    const late = this.late.get(name);
    this.late.delete(name);
    if (this.inFlight.has(name)) this.refuted.add(name);
    // Its end may be on its way, or told, by now.
    if (late) this.status.set(name, late);
    else if (this.status.get(name)?.deleted) this.status.delete(name);
  }
  /** Most of it is of ends that were true, and nobody asks for it; the newest is kept. */
  private keepLate(name: string, item: StatusItem): void {
    this.late.delete(name);
    this.late.set(name, item);
    const [oldest] = this.late.keys();
    if (this.late.size > MAX_UNWANTED && oldest !== undefined) this.late.delete(oldest);
  }
  /** Its row is here: what was refused before is no longer too early. */
  wanted(item: { kind: FeedKind; key: string; id: string }): void {
    const name = itemName(item);
    const early = this.early.get(name);
    if (!early) return;
    this.early.delete(name);
    this.accepted.delete(name);
    if (!this.status.has(name)) this.status.set(name, early);
  }
  addNack(nack: Nack): void {
    this.nacks.set(itemName(nack), nack);
  }
  dropNack(row: { kind: FeedKind; key: string; id: string }): void {
    this.nacks.delete(itemName(row));
  }
  addUnknown(item: HeldObject): void {
    this.dropEnd(item);
    this.unknown.set(itemName(item), item);
  }
  dropUnknown(item: { kind: FeedKind; key: string; id: string }): void {
    this.unknown.delete(itemName(item));
  }
  addDrift(item: DriftItem): void {
    if (this.unwanted.has(itemName(item))) return;
    this.drift.push(item);
    if (this.drift.length <= MAX_PENDING_DRIFT) return;
    this.drift.shift();
    this.droppedDrift += 1;
  }
  setAck(cursor: string, digest: string): void {
    if (cursor !== this.ackedCursor) this.ack = { cursor, digest };
  }
  setSealingKey(value: string): void {
    if (this.sealingKey?.value !== value) this.sealingKey = { value, isTold: false };
  }
  /** It was told to somebody who did not understand. */
  untellSealingKey(): void {
    if (this.sealingKey) this.sealingKey.isTold = false;
  }
  /** The control plane may have lost what it had accepted. */
  forgetAccepted(): void {
    this.untellSealingKey();
    this.accepted.clear();
    this.ackedCursor = undefined;
    this.ack = undefined;
    this.askAgain();
  }

  get hasUnwanted(): boolean {
    return this.unwanted.size > 0;
  }
  /** What was refused may be taken now. */
  askAgain(): void {
    for (const [name, item] of this.unwanted) this.status.set(name, item);
    this.unwanted.clear();
  }

  /** Takes up to the limits; what does not fit stays. */
  take(limits: BatchLimits): Batch | undefined {
    if (this.size === 0) return undefined;
    const batch: Batch = { status: [], nacks: [], drift: [], unknown: [] };
    const room = new Room(limits);
    moveFrom(this.nacks, batch.nacks, room);
    moveFrom(this.status, batch.status, room);
    for (const item of batch.status) this.inFlight.set(itemName(item), contentOf(item));
    moveFrom(this.unknown, batch.unknown, room);
    let taken = 0;
    while (taken < this.drift.length && room.fits(this.drift[taken])) taken += 1;
    batch.drift = this.drift.slice(0, taken);
    this.drift = this.drift.slice(taken);
    if (this.ack) batch.ack = this.ack;
    this.ack = undefined;
    if (this.sealingKey?.isTold === false) {
      batch.sealingKey = this.sealingKey.value;
      this.sealingKey.isTold = true;
    }
    return batch;
  }

  /** The batch was accepted, but for the items that the control plane does not want, or not yet. */
  settle(
    batch: Batch,
    isUnwanted: (item: StatusItem) => boolean = () => false,
    isEarly: (item: StatusItem) => boolean = () => false,
  ): void {
    for (const item of batch.status) {
      const name = itemName(item);
      this.inFlight.delete(name);
      this.refuted.delete(name);
      this.early.delete(name);
      if (!item.deleted && isEarly(item) && this.early.size < MAX_UNWANTED) this.early.set(name, item);
      if (item.deleted) this.accepted.delete(name);
      else if (isUnwanted(item) && this.unwanted.size < MAX_UNWANTED) this.setAside(name, item);
      else this.accepted.set(name, contentOf(item));
    }
    if (batch.ack) this.ackedCursor = batch.ack.cursor;
  }

  private setAside(name: string, item: StatusItem): void {
    const newest = this.status.get(name) ?? item;
    this.accepted.delete(name);
    this.status.delete(name);
    if (!newest.deleted) this.unwanted.set(name, newest);
  }

  /** The batch was not accepted: its items wait again, except where something newer does. */
  putBack(batch: Batch): void {
    for (const item of batch.status) {
      const name = itemName(item);
      this.inFlight.delete(name);
      // It is here again, and a report takes an end for newer than that.
      const isBack = this.refuted.delete(name) && item.deleted;
      // The control plane may have taken it all the same, and only its answer got lost.
      if (isBack) this.accepted.delete(name);
      if (!this.status.has(name) && !isBack) this.status.set(name, item);
    }
    for (const nack of batch.nacks) {
      const name = itemName(nack);
      if (!this.nacks.has(name)) this.nacks.set(name, nack);
    }
    for (const item of batch.unknown) this.unknown.set(itemName(item), item);
    this.drift = [...batch.drift, ...this.drift].slice(-MAX_PENDING_DRIFT);
    if (batch.ack && !this.ack) this.ack = batch.ack;
    if (this.sealingKey && batch.sealingKey === this.sealingKey.value) this.sealingKey.isTold = false;
  }
}

class Room {
  private items: number;
  private bytes: number;
  constructor(limits: BatchLimits) {
    this.items = limits.items;
    this.bytes = limits.bytes;
  }
  /** Takes the room if there is any. */
  fits(item: unknown): boolean {
    const size = Buffer.byteLength(JSON.stringify(item)) + 1;
    if (this.items < 1 || size > this.bytes) return false;
    this.items -= 1;
    this.bytes -= size;
    return true;
  }
}

function moveFrom<T>(source: Map<string, T>, target: T[], room: Room): void {
  for (const [name, item] of source) {
    if (!room.fits(item)) return;
    target.push(item);
    source.delete(name);
  }
}

/** The id is part of the name: a name can be used again, and each resource's end must be told. */
export const itemName = (item: { kind: string; key: string; id?: string | undefined }): string =>
  `${item.kind}/${item.key}/${item.id}`;
const contentOf = (item: StatusItem): string => {
  const { observedSeq: _, appliedAt: __, ...content } = item;
  return canonicalJson(content);
};
