import {
  ANNOTATIONS,
  type BudgetRule,
  counted,
  DATA_PLANE_NAME,
  type DelOp,
  dataPlaneSpecSchema,
  type FeedKind,
  objectRef,
} from '@felucca/contract';
import type { LiveObject } from './cluster.ts';
import type { SyncContext } from './context.ts';
import { type BudgetWindow, takeDeletion } from './deletion-budget.ts';
import { ownerId } from './put-row.ts';
import { rowName } from './rows.ts';

/** A tombstone, or what a put with a new id implies for the old one. */
export type Tombstone = Pick<DelOp, 'kind' | 'key' | 'rev' | 'id' | 'generation' | 'kid' | 'sig'>;

/** `budget` waits for a person, `epoch` for the first full comparison under a new epoch. */
export type HoldCause = 'budget' | 'epoch';
export interface HeldDeletion {
  tombstone: Tombstone;
  cause: HoldCause;
  /** It may go, and has not gone yet: its object still says that it is held. */
  isLetGo?: boolean;
}

/**
 * `gone`: nothing has the name. `elsewhere`: somebody else's object has it. `unmarked`: the very object that we applied,
 * without the mark that says so. `outdated`: it was told, or its object is wanted again, since.
 */
export type DeletionResult = 'deleted' | 'gone' | 'held' | 'elsewhere' | 'unmarked' | 'outdated';

/** Kinds whose deletion destroys what a customer owns. */
const BUDGETED: readonly FeedKind[] = ['Instance', 'Tenant'];

/**
 * The only place that deletes. A deletion needs a verified tombstone that names the id in the object's
 * stamp, a fresh read, the UID as a precondition, and room in the budget.
 */
export class Deletions {
  private readonly held = new Map<string, HeldDeletion>();
  /** Objects that may say they are held: the answer to that write has not come, and may have got lost. */
  private readonly unanswered = new Set<string>();
  private readonly windows = new Map<FeedKind, BudgetWindow>();
  private armed = true;
  private readonly context: SyncContext;
  private readonly rule: () => BudgetRule;
  private readonly onHeldChange: () => void;

  constructor(context: SyncContext, rule: () => BudgetRule, onHeldChange: () => void) {
    this.context = context;
    this.rule = rule;
    this.onHeldChange = onHeldChange;
  }

  heldTombstone(kind: FeedKind, key: string): Tombstone | undefined {
    return this.held.get(rowName(kind, key))?.tombstone;
  }
  /** The smallest revision of a held tombstone. */
  oldestHeld(): bigint | undefined {
    let oldest: bigint | undefined;
    for (const { tombstone } of this.held.values()) {
      const rev = BigInt(tombstone.rev);
      if (oldest === undefined || rev < oldest) oldest = rev;
    }
    return oldest;
  }
  /** What waits for a person. */
  waiting(): Tombstone[] {
    return [...this.held.values()].flatMap(({ tombstone, isLetGo }) => (isLetGo ? [] : [tombstone]));
  }
  /** How many do, and some of them; in one order, whichever was held first: a restart has nothing new to say. */
  waitingNames(atMost: number): { count: number; names: string[] } {
    let count = 0;
    const names: string[] = [];
    for (const [name, { isLetGo }] of this.held) {
      if (isLetGo) continue;
      count += 1;
      // Thousands may be held one after the other: not all of them are sorted each time.
      if (names.length === atMost && (atMost === 0 || name > names[atMost - 1]!)) continue;
      names.push(name);
      names.sort();
      names.splice(atMost);
    }
    return { count, names };
  }
  isHeld(kind: FeedKind, key: string): boolean {
    return this.held.has(rowName(kind, key));
  }

  /** Until `arm()`, every deletion is held: the new epoch may be a restored, older database. */
  disarm(): void {
    this.armed = false;
  }

  get isArmed(): boolean {
    return this.armed;
  }

  /** The digests agreed. Returns the tombstones that waited only for that; the caller submits them again. */
  arm(): Tombstone[] {
    this.armed = true;
    return this.takeHeld((held) => held.cause === 'epoch');
  }

  /** A person said so here: every held tombstone, to be deleted without asking the budget. */
  release(dataPlaneUid: string | undefined, by: string): Tombstone[] {
    return this.announced(
      this.takeHeld(() => true),
      dataPlaneUid,
      by,
    );
  }

  /** A person said so in the control plane: those that its signed row names. */
  releaseNamed(): Tombstone[] {
    if (!this.armed) return [];
    const released = this.takeHeld(({ tombstone }) => this.isReleased(tombstone));
    const uid = this.context.rows.get('DataPlane', DATA_PLANE_NAME)?.good?.uid;
    return this.announced(released, uid, 'the control plane, whose audit says who,');
  }

  private announced(released: Tombstone[], dataPlaneUid: string | undefined, by: string): Tombstone[] {
    const { emit, rows } = this.context;
    if (released.length > 0)
      emit('DataPlane', DATA_PLANE_NAME, dataPlaneUid, {
        type: 'Normal',
        reason: 'DeletionsReleased',
        message: `${by} released ${counted(released.length, 'held deletion')}`,
      });
    for (const { kind, key } of released)
      emit(kind, key, rows.get(kind, key)?.good?.uid, {
        type: 'Normal',
        reason: 'DeletionReleased',
        message: `${by} released its deletion`,
      });
    return released;
  }

  /**
   * Only the verified row counts, not what somebody writes into the object. It names a deletion by id and generation,
   * so it can stay there: a resource that came back and is deleted again is another deletion.
   */
  private isReleased({ id, generation }: Pick<Tombstone, 'id' | 'generation'>): boolean {
    const row = this.context.rows.get('DataPlane', DATA_PLANE_NAME)?.good;
    const spec = dataPlaneSpecSchema.safeParse(row?.spec).data;
    return spec?.releasedDeletions?.some((one) => one.id === id && one.generation >= generation) ?? false;
  }

  /** At start, from the annotation. */
  restore(held: HeldDeletion): void {
    this.held.set(rowName(held.tombstone.kind, held.tombstone.key), held);
    this.changed();
  }

  /** The key is wanted again, or its object is gone. */
  async forget(kind: FeedKind, key: string, uid?: string): Promise<void> {
    const name = rowName(kind, key);
    const held = this.held.get(name);
    if (!held && !this.unanswered.has(name)) return;
    // First, because it may fail: as long as the object says so, it is held.
    if (uid)
      await this.context.cluster.annotate(kind, objectRef(kind, key), uid, {
        [ANNOTATIONS.heldDeletion]: null,
      });
    this.unanswered.delete(name);
    this.held.delete(name);
    if (held) this.context.outbox.nackResolved({ kind, key, id: held.tombstone.id });
    this.changed();
  }

  /** @param isCurrent whether it is still to be done: its owner may be wanted again by the time that we have looked */
  async execute(tombstone: Tombstone, released: boolean, isCurrent: () => boolean): Promise<DeletionResult> {
    const { kind, key, id, generation } = tombstone;
    const ref = objectRef(kind, key);
    const live = await this.context.cluster.read(kind, ref);
    if (!isCurrent()) return 'outdated';
    const uid = live?.metadata.uid;
    if (!live || !uid) return 'gone';
    if (ownerId(live) !== id) {
      const good = this.context.rows.get(kind, key)?.good;
      return good?.id === id && good.uid === uid ? 'unmarked' : 'elsewhere';
    }
    if (live.metadata.deletionTimestamp) return 'deleted';
    if ((live.status?.desired?.generation ?? 0) > generation) {
      await this.forget(kind, key, uid);
      return 'outdated';
    }
    const cause = released ? undefined : this.mustHold(tombstone);
    if (cause) {
      await this.hold(tombstone, cause, live);
      return 'held';
    }
    return (await this.context.cluster.remove(kind, ref, uid)) ? 'deleted' : 'gone';
  }

  private mustHold({ kind, key, id, generation }: Tombstone): HoldCause | undefined {
    if (!BUDGETED.includes(kind)) return undefined;
    if (!this.armed) return 'epoch';
    if (this.isReleased({ id, generation })) return undefined;
    // Told again after a restart, it still waits for its person: a new process has an empty window.
    const held = this.held.get(rowName(kind, key));
    if (held?.tombstone.id === id && !held.isLetGo) return 'budget';
    const { rows, clock } = this.context;
    // Plus one: the object in question is already marked as on its way out.
    const taken = takeDeletion(
      this.windows.get(kind) ?? [],
      id,
      rows.liveOf(kind) + 1,
      this.rule(),
      clock.nowMs(),
    );
    this.windows.set(kind, taken.window);
    return taken.allowed ? undefined : 'budget';
  }

  private async hold(tombstone: Tombstone, cause: HoldCause, live: LiveObject): Promise<void> {
    const { kind, key, rev, id, generation, kid, sig } = tombstone;
    const name = rowName(kind, key);
    const value = JSON.stringify({ rev, id, generation, kid, sig, cause });
    this.unanswered.add(name);
    // Durable before it is acknowledged: once the cursor has passed it, the feed won't send it again.
    if (live.metadata.annotations?.[ANNOTATIONS.heldDeletion] !== value)
      await this.context.cluster.annotate(kind, objectRef(kind, key), live.metadata.uid ?? '', {
        [ANNOTATIONS.heldDeletion]: value,
      });
    // An Instance's own condition says so, with an Event.
    if (kind !== 'Instance' && this.heldTombstone(kind, key)?.id !== id)
      this.context.emit(kind, key, live.metadata.uid, {
        type: 'Warning',
        reason: 'DeletionHeld',
        message: `its deletion ${cause === 'budget' ? 'exceeds the budget' : 'came under a new epoch'} and waits for a person; release it in the control plane (/v1/data-planes/<name>/held-deletions)`,
      });
    this.held.set(name, { tombstone, cause });
    this.unanswered.delete(name);
    this.changed();
  }

  private takeHeld(which: (held: HeldDeletion) => boolean): Tombstone[] {
    const taken = [...this.held.values()].filter((held) => !held.isLetGo && which(held));
    for (const held of taken) held.isLetGo = true;
    if (taken.length > 0) this.changed();
    return taken.map(({ tombstone }) => tombstone);
  }

  private changed(): void {
    this.context.metrics.heldDeletions.set(this.waitingNames(0).count);
    this.onHeldChange();
  }
}
