import type { DelOp, FeedKind } from '@felucca/contract';
import type { SyncContext } from './context.ts';
import type { DeletionResult, Deletions, Tombstone } from './deletions.ts';
import type { Ends } from './ends.ts';
import { tellUnaccounted } from './held-object.ts';
import type { LaneOutcome } from './lanes.ts';
import type { Nacks } from './nacks.ts';
import type { Restorer } from './restore.ts';
import { rowName } from './rows.ts';

/** Carries out tombstones, and sees to it that the end of each owner of a name is told. */
export class Tombstones {
  private readonly context: SyncContext;
  private readonly deletions: Deletions;
  private readonly restorer: Restorer;
  private readonly ends: Ends;
  private readonly nacks: Nacks;

  constructor(context: SyncContext, deletions: Deletions, restorer: Restorer, ends: Ends, nacks: Nacks) {
    this.context = context;
    this.deletions = deletions;
    this.restorer = restorer;
    this.ends = ends;
    this.nacks = nacks;
  }

  /** `isCurrent`: whether its owner is still not wanted. */
  async carryOut(
    op: Tombstone | DelOp,
    released: boolean,
    receivedMs: number,
    isCurrent: () => boolean,
  ): Promise<LaneOutcome> {
    const { rows, outbox, refused, metrics, clock } = this.context;
    const { kind, key, id, generation, rev } = op;
    const result = await this.attempt(op, released, isCurrent);
    switch (result) {
      case 'gone':
        await this.deletions.forget(kind, key);
        this.tellOthersGone(kind, key, undefined);
        outbox.deleted({ kind, key, id, generation, rev });
        this.restorer.ended(kind, key);
        break;
      case 'deleted':
        await this.deletions.forget(kind, key);
        // A restart before the finalizers are done must meet the tombstone again, or nobody tells the end.
        // Without the mark the watch has told it already.
        if (rows.get(kind, key)?.deleting?.id === id) outbox.ending({ kind, key, id, rev });
        // It left the name's next owner to this lane, as to one that holds the owner's own operation.
        else this.restorer.ended(kind, key);
        break;
      case 'elsewhere':
        // Its own object is not here, whoever has the name: its order may never have been applied.
        await this.letBe(op);
        outbox.deleted({ kind, key, id, generation, rev });
        this.tellHolder(kind, key);
        break;
      case 'held':
        this.nacks.held(op);
        return 'done';
      case 'unmarked':
        await this.letBe(op);
        this.nacks.nack(
          op,
          'IdMismatch',
          `${kind} ${key} is not marked as ${id} any more; only a tombstone that names its id deletes it`,
        );
        return 'done';
      case 'outdated':
        return 'done';
    }
    refused.resolve(kind, key, id);
    metrics.propagation.observe({ stage: 'delete' }, (clock.nowMs() - receivedMs) / 1000);
    return 'done';
  }

  /** It may go, and there is nothing of it to delete. */
  private async letBe({ kind, key, id }: Tombstone): Promise<void> {
    if (this.deletions.heldTombstone(kind, key)?.id === id) await this.deletions.forget(kind, key);
  }

  /** Deletes what it names, which is marked as long as it is on its way out. */
  async attempt(tombstone: Tombstone, released: boolean, isCurrent: () => boolean): Promise<DeletionResult> {
    this.mark(tombstone);
    const result = await this.deletions.execute(tombstone, released, isCurrent);
    if (result !== 'gone' && result !== 'deleted') this.unmark(tombstone);
    return result;
  }

  /** The name is seen to be `owner`'s, or nobody's: of the others that had it nothing is left. */
  tellOthersGone(kind: FeedKind, key: string, owner: string | undefined): void {
    const name = rowName(kind, key);
    const marked = this.context.rows.get(kind, key)?.deleting;
    if (marked && marked.id !== owner) {
      this.tellGone({ kind, key, ...marked });
      this.forgetMarked(kind, key);
    }
    for (const { op, admitted } of this.ends.of(name)) {
      if (op.id === owner || !admitted) continue;
      this.tellGone(op);
      this.ends.forget(name, op.id);
    }
  }
  private tellGone(gone: Omit<Tombstone, 'kid' | 'sig'>): void {
    const { outbox, refused } = this.context;
    outbox.deleted(gone);
    refused.resolve(gone.kind, gone.key, gone.id);
  }

  /**
   * Whoever has the name, while the feed names nobody any more, or another that cannot have it. A snapshot that named that
   * one passed over this one, and no later hello compares names.
   */
  tellHolder(kind: FeedKind, key: string): void {
    const entry = this.context.rows.get(kind, key);
    if (!entry?.good || this.ends.get(rowName(kind, key), entry.good.id)) return;
    tellUnaccounted(this.context, this.deletions, entry);
  }

  /**
   * First, because the watch may say that the object is gone before the answer to our request arrives. The row itself has
   * left the feed, or belongs to the next owner of the name and stays.
   */
  private mark({ kind, key, id, generation, rev }: Tombstone): void {
    const { rows } = this.context;
    const marked = rows.get(kind, key)?.deleting;
    if (!marked || marked.id === id) rows.update(kind, key, { deleting: { id, generation, rev } });
  }
  /** It is gone, and the next owner of the name has to be marked when its turn comes. */
  private forgetMarked(kind: FeedKind, key: string): void {
    const { rows } = this.context;
    const { deleting, good, ...rest } = rows.get(kind, key)!;
    rows.set(good && good.id !== deleting?.id ? { ...rest, good } : rest);
  }
  private unmark({ kind, key, id }: Tombstone): void {
    const entry = this.context.rows.get(kind, key);
    if (entry?.deleting?.id !== id) return;
    const { deleting: _, ...rest } = entry;
    this.context.rows.set(rest);
  }
}
