import { bucketOf, differingBuckets, hasBucket, type Op } from '@felucca/contract';
import type { IsUnnamed, RowApplier } from './apply.ts';
import type { SyncContext } from './context.ts';
import type { Deletions } from './deletions.ts';
import type { FeedSink } from './feed-client.ts';
import { tellHeld, tellUnaccounted } from './held-object.ts';
import type { Lanes } from './lanes.ts';
import { Progress } from './progress.ts';
import { rowName } from './rows.ts';

/** Above this many unsettled operations the socket is not read: the server's buffer is the queue. */
const MAX_IN_FLIGHT = 2_000;

export interface FeedSinkHooks {
  /** The durable cursor moved. */
  advanced(epoch: string, cursor: string): void;
  /** Both sides hold the same rows under an epoch that was new: only now it may be remembered. */
  compared(): void;
  greeted(session: string, epoch: string, reset: string | undefined): void;
  lost(why: string, message: string, halted: boolean): void;
  digestDiffers(): void;
  digestAgrees(): void;
}

interface Snapshot {
  epoch: string;
  /** Of these buckets only, beside the tail. */
  repair: string | undefined;
  named: Set<string>;
  work: Promise<void>[];
}

/** Where the feed meets the applier: order, durability, snapshots and comparisons. */
export class SyncSink implements FeedSink {
  readonly progress: Progress;
  private readonly context: SyncContext;
  private readonly applier: RowApplier;
  private readonly deletions: Deletions;
  private readonly lanes: Lanes;
  private readonly hooks: FeedSinkHooks;
  private snapshot: Snapshot | undefined;
  /** Epoch under which both sides last agreed on every row; "" before the first time. */
  private comparedEpoch: string;

  constructor(
    parts: { context: SyncContext; applier: RowApplier; deletions: Deletions; lanes: Lanes },
    start: { epoch: string; cursor: string; comparedEpoch: string },
    hooks: FeedSinkHooks,
  ) {
    this.comparedEpoch = start.comparedEpoch;
    this.context = parts.context;
    this.applier = parts.applier;
    this.deletions = parts.deletions;
    this.lanes = parts.lanes;
    this.hooks = hooks;
    this.progress = new Progress(start.epoch, start.cursor, () => this.advanced());
  }

  position(): { digest: string; count: number } {
    const { digest, count } = this.context.rows;
    // While operations are in flight the digest belongs to no cursor; "" asks the server not to compare.
    return { digest: this.lanes.depth > 0 ? '' : digest, count };
  }

  greeted(hello: { session: string; epoch: string; head: string; reset?: string }): void {
    this.snapshot = undefined;
    // A restored or forged database may speak for an older time: nothing is deleted on its word until both
    // sides have compared everything. Whoever holds nothing has nothing to lose.
    if (hello.epoch !== this.comparedEpoch) {
      if (this.context.rows.count > 0) this.deletions.disarm();
      else this.comparedEpoch = hello.epoch;
    }
    this.hooks.greeted(hello.session, hello.epoch, hello.reset);
  }

  /** Only an equal digest makes the server go on under another epoch: that is the comparison. */
  adopted(epoch: string, cursor: string): void {
    this.agreed(epoch);
    this.context.rows.adoptEpoch(epoch);
    this.progress.adopt(epoch, cursor);
  }

  difference(buckets: readonly string[]): string {
    return differingBuckets(this.context.rows.bucketDigests(), buckets);
  }

  snapshotBegins(epoch: string, repair: string | undefined): void {
    this.snapshot = { epoch, repair, named: new Set(), work: [] };
  }
  snapshotRows(epoch: string, ops: Op[]): void {
    for (const op of ops) {
      // A tombstone names what is gone; who has the name by now may be somebody that the control plane has forgotten.
      if (op.op === 'put') this.snapshot?.named.add(rowName(op.kind, op.key));
      this.snapshot?.work.push(this.submit(op, epoch));
    }
  }
  snapshotEnds(epoch: string, at: string): void {
    const { snapshot } = this;
    this.snapshot = undefined;
    if (!snapshot) return;
    this.context.metrics.resyncs.inc();
    const { named, repair } = snapshot;
    const isUnnamed: IsUnnamed = (kind, key, seen) =>
      !named.has(rowName(kind, key)) &&
      (repair === undefined || hasBucket(repair, bucketOf(kind, key))) &&
      // While a row of the snapshot waited, a delta brought this one.
      !(seen.epoch === epoch && BigInt(seen.rev) > BigInt(at));
    this.applier.withdraw(isUnnamed);
    const done = Promise.all(snapshot.work).then(() => this.reportUnnamed(isUnnamed));
    // What is sent beside the tail moves no cursor; but nothing after it is durable before it is.
    this.progress.track(epoch, repair === undefined ? at : this.progress.received, done);
  }

  rows(epoch: string, to: string, ops: Op[]): void {
    this.progress.track(epoch, to, Promise.all(ops.map((op) => this.submit(op, epoch))));
    this.context.metrics.lag.set(lagOf(this.progress));
  }

  /** Only a quiet moment can be compared: while operations are in flight the digests are of different times. */
  compare(cursor: string, digest: string, count: number): void {
    void this.idle().then(() => {
      const { progress, context } = this;
      if (progress.inFlight || progress.cursor !== cursor || this.snapshot) return;
      if (context.rows.digest !== digest || context.rows.count !== count) {
        context.log.warn(
          { cursor, ours: context.rows.digest, theirs: digest, count, rows: context.rows.count },
          'rows differ from the feed; asking for a full comparison',
        );
        this.hooks.digestDiffers();
        return;
      }
      this.agreed(progress.epoch);
    });
  }

  private agreed(epoch: string): void {
    for (const tombstone of this.deletions.arm()) void this.applier.submitHeld(tombstone, false);
    this.applier.submitReleased();
    this.hooks.digestAgrees();
    if (this.comparedEpoch === epoch) return;
    this.comparedEpoch = epoch;
    this.hooks.compared();
  }

  lost(why: string, message: string, halted: boolean): void {
    this.hooks.lost(why, message, halted);
  }

  idle(): Promise<void> {
    return this.lanes.idle();
  }
  capacity(): Promise<void> {
    return this.lanes.room(MAX_IN_FLIGHT);
  }

  private submit(op: Op, epoch: string): Promise<void> {
    return this.applier.submit(op, epoch);
  }

  /** A control plane that may have forgotten is told again. */
  reportUnknown(): void {
    this.applier.tellAgain();
    for (const entry of this.context.rows.all()) tellUnaccounted(this.context, this.deletions, entry);
  }

  /** Absence never deletes: keys that a snapshot does not name leave the digest and are reported. */
  private reportUnnamed(isUnnamed: IsUnnamed): void {
    const { rows, refused, log } = this.context;
    for (const entry of [...rows.all()]) {
      if (!entry.feed) continue;
      if (!isUnnamed(entry.kind, entry.key, { epoch: entry.epoch, rev: entry.seenRev })) continue;
      rows.leaveFeed(entry.kind, entry.key);
      refused.resolve(entry.kind, entry.key, entry.feed.id);
      if (!entry.good) {
        rows.remove(entry.kind, entry.key);
        continue;
      }
      log.warn(
        { kind: entry.kind, key: entry.key },
        'the control plane does not know this object; it is kept',
      );
      tellHeld(this.context, entry.kind, entry.key, entry.good);
    }
  }

  private advanced(): void {
    const { progress } = this;
    this.context.metrics.lag.set(lagOf(progress));
    this.hooks.advanced(progress.epoch, progress.cursor);
  }
}

const lagOf = (progress: Progress): number => {
  const lag = BigInt(progress.received) - BigInt(progress.cursor);
  return lag > 0n ? Number(lag) : 0;
};
