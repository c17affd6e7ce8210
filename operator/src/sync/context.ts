import type { DriftItem, FeedKind, HeldObject, Nack } from '@felucca/contract';
import type { Logger } from 'pino';
import type { Clock as RuntimeClock } from '../runtime/clock.ts';
import type { SyncCluster } from './cluster.ts';
import type { RefusedRows } from './refused-rows.ts';
import type { RowSet } from './rows.ts';
import type { SigningKeys } from './signing-keys.ts';
import type { SyncMetrics } from './sync-metrics.ts';
import type { TrustedKeys } from './verify.ts';

/** Where the sync hands over what the control plane must hear; the reporter implements it. */
export interface Outbox {
  nack(nack: Nack): void;
  /** What was refused of this owner of the name is no longer. */
  nackResolved(row: { kind: FeedKind; key: string; id: string }): void;
  drift(item: DriftItem): void;
  /** An object that the feed does not account for. */
  unknown(object: HeldObject): void;
  /** It is gone, and no tombstone was the cause. */
  unknownGone(item: { kind: FeedKind; key: string; id: string; generation: number }): void;
  /** The object that a tombstone named goes: until its end is accepted, `rev` holds the durable cursor back. */
  ending(item: { kind: FeedKind; key: string; id: string; rev: string }): void;
  /** The object that a tombstone named is gone. `rev` holds the durable cursor back until this is accepted. */
  deleted(item: { kind: FeedKind; key: string; id: string; generation: number; rev: string }): void;
  /** The control plane has a row of it, whether there is something to do or not. */
  wanted(row: { kind: FeedKind; key: string; id: string }): void;
  /** The row is in the cluster. */
  applied(row: { kind: FeedKind; key: string; id: string; generation: number }, at: Date): void;
}

/** A Kubernetes Event about one of our objects. */
export type EmitEvent = (
  kind: FeedKind,
  key: string,
  uid: string | undefined,
  event: { type: 'Normal' | 'Warning'; reason: string; message: string },
) => void;

export type Clock = Pick<RuntimeClock, 'nowMs' | 'date'>;

/** What every step of the sync works with. */
export interface SyncContext {
  dataPlaneId: string;
  cluster: SyncCluster;
  rows: RowSet;
  /** Spec of a Blueprint object on this cluster. */
  blueprints: (name: string) => Record<string, unknown> | undefined;
  trust: TrustedKeys;
  signingKeys: SigningKeys;
  outbox: Outbox;
  refused: RefusedRows;
  emit: EmitEvent;
  clock: Clock;
  random: () => number;
  metrics: SyncMetrics;
  log: Logger;
}
