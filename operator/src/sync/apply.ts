import { type DelOp, type FeedKind, type Nack, type Op, type PutOp, traceOf } from '@felucca/contract';
import { backoffWindow, drawMs } from './backoff.ts';
import type { SyncContext } from './context.ts';
import type { Deletions, Tombstone } from './deletions.ts';
import { Ends } from './ends.ts';
import { tellHeld } from './held-object.ts';
import { verifiedRow } from './hydrate.ts';
import type { LaneOutcome, Lanes } from './lanes.ts';
import { isClusterError, isObstacle, ownerId, type PutObstacle, putRow } from './put-row.ts';
import type { Restorer } from './restore.ts';
import { type GoodRow, guardRow, rowName } from './rows.ts';
import { namedKeys } from './signing-keys.ts';

/** Codes of a NACK, with whether it can still be done without a new revision. */
export const NACK_CODES = {
  SignatureInvalid: false,
  DigestMismatch: false,
  GenerationRegressed: false,
  NameConflict: true,
  IdMismatch: false,
  NamespaceMissing: true,
  StillDeleting: true,
  ApplyRejected: true,
  MASS_DELETE_HELD: true,
} as const;
export type NackCode = keyof typeof NACK_CODES;

type FormerOwner = Extract<PutObstacle, { obstacle: 'otherId' }>;

/** How long a fact that usually passes (a namespace being made, a finalizer) may hold the cursor. */
export const PATIENCE_MS = 10_000;
const MAX_DOUBTED = 10_000;
const FAST = { baseMs: 20, capMs: 1_000 };
const SLOW = { baseMs: 5_000, capMs: 300_000 };

/** A row whose lane still works on it. */
interface Arriving {
  op: PutOp;
  epoch: string;
  receivedMs: number;
  /** The control plane was told who has the name. */
  isFormerTold?: boolean;
}

/** Applies operations of the feed: verify, guard, write, record. One instance per feed. */
export class RowApplier {
  private readonly arriving = new Map<string, Arriving>();
  private readonly ends = new Ends();
  /** Revisions that were fetched again because nobody we trust had signed what came. */
  private readonly doubted = new Set<string>();
  private readonly context: SyncContext;
  private readonly lanes: Lanes;
  private readonly deletions: Deletions;
  private readonly restorer: Restorer;

  constructor(context: SyncContext, lanes: Lanes, deletions: Deletions, restorer: Restorer) {
    this.context = context;
    this.lanes = lanes;
    this.deletions = deletions;
    this.restorer = restorer;
  }

  /** Resolves when the operation is durable in the cluster or has been NACKed. */
  submit(op: Op, epoch: string): Promise<void> {
    const receivedMs = this.context.clock.nowMs();
    if (op.op === 'put') return this.submitPut({ op, epoch, receivedMs });
    const name = rowName(op.kind, op.key);
    this.ends.add({ op, epoch, receivedMs });
    const next = this.arriving.get(name);
    // The name's next owner waits for this end, and needs its lane.
    if (next && next.op.id !== op.id) return this.submitPut(next);
    this.arriving.delete(name);
    return this.submitEnds(name);
  }

  private submitPut(arriving: Arriving): Promise<void> {
    const { op, epoch, receivedMs } = arriving;
    const name = rowName(op.kind, op.key);
    this.arriving.set(name, arriving);
    this.ends.forget(name, op.id);
    return this.lanes.submit(name, {
      run: async (attempt) => {
        this.admitEnds(name);
        const refusal = this.guard(op, epoch);
        const outcome =
          refusal ??
          (await this.surviving(op, attempt, receivedMs, () => this.put(op, epoch, attempt, receivedMs)));
        if (outcome === 'done' && this.arriving.get(name) === arriving) {
          this.arriving.delete(name);
          this.resumeEnds(name);
        }
        return outcome;
      },
    });
  }

  private submitEnds(name: string): Promise<void> {
    return this.lanes.submit(name, { run: (attempt) => this.carryOut(name, attempt) });
  }
  /** A job that took the place of theirs is done. */
  private resumeEnds(name: string): void {
    if (this.ends.of(name).length > 0) void this.submitEnds(name);
  }

  /** Of each owner that the name had, one after the other: what fails for one would fail for the next. */
  private async carryOut(name: string, attempt: number): Promise<LaneOutcome> {
    this.admitEnds(name);
    for (const { op, receivedMs } of this.ends.of(name)) {
      const outcome = await this.surviving(op, attempt, receivedMs, () => this.del(op, false, receivedMs));
      if (outcome !== 'done') return outcome;
      this.ends.forget(name, op.id);
    }
    return 'done';
  }

  /** All at once, before anything newer of the name makes them look old. */
  private admitEnds(name: string): void {
    for (const end of this.ends.of(name)) {
      if (!end.admitted && this.guard(end.op, end.epoch)) this.ends.forget(name, end.op.id);
      end.admitted = true;
    }
  }

  /** A held tombstone that a person released, or that only waited for the comparison (`released` false). */
  submitHeld(tombstone: Tombstone, released: boolean): Promise<void> {
    const receivedMs = this.context.clock.nowMs();
    const { kind, key, rev } = tombstone;
    const { rows } = this.context;
    const entry = rows.get(kind, key);
    // Meanwhile the key has a newer row, which decides; or none, and only its removal made room for the newer one.
    if (this.lanes.busy(rowName(kind, key)) && entry?.feed && BigInt(entry.feed.rev) > BigInt(rev))
      return Promise.resolve();
    const name = rowName(kind, key);
    return this.lanes.submit(name, {
      run: async (attempt) => {
        const outcome = await this.surviving(tombstone, attempt, receivedMs, () =>
          this.del(tombstone, released, receivedMs),
        );
        if (outcome === 'done') this.resumeEnds(name);
        return outcome;
      },
    });
  }

  /** The control plane's own row may name some that may go now. */
  submitReleased(): void {
    const released = this.deletions.releaseNamed();
    if (released.length > 0)
      this.context.log.info({ count: released.length }, 'held deletions released in the control plane');
    for (const tombstone of released) void this.submitHeld(tombstone, false);
  }

  /** What becomes of an operation without acting on it; nothing when it is to be carried out. */
  private guard(op: Op, epoch: string): LaneOutcome | undefined {
    const { rows, trust, dataPlaneId } = this.context;
    const entry = rows.get(op.kind, op.key);
    const guard = guardRow(entry, op, epoch);
    if (guard === 'stale') return 'done';
    const verdict = trust.verify(op, dataPlaneId);
    if (!verdict.ok) {
      this.doubt(op);
      return this.refuse(op, epoch, verdict.code, verdict.message);
    }
    if (guard === 'generation') {
      tellHeld(this.context, op.kind, op.key, entry?.good);
      return this.refuse(
        op,
        epoch,
        'GenerationRegressed',
        `generation ${op.generation} of ${op.id} is older than the applied ${entry?.good?.generation}, which is kept; ` +
          'see /v1/data-planes/<name>/unknown-objects',
      );
    }
    this.note(op, epoch);
    return undefined;
  }

  /** The feed said so, whatever becomes of it: the digest follows the feed, the good row what was applied. */
  private note(op: Op, epoch: string): void {
    const { rows } = this.context;
    const { kind, key, id, rev, generation } = op;
    const old = rows.get(kind, key) ?? { kind, key, seenRev: rev, epoch };
    // A tombstone of the name's former owner takes nothing from the next one.
    if (op.op === 'del' && old.feed && old.feed.id !== id) return;
    const feed = op.op === 'put' ? { feed: { id, rev, generation, hash: op.hash } } : {};
    rows.set({ ...old, seenRev: rev, epoch, ...feed });
    if (op.op === 'del') rows.leaveFeed(kind, key);
  }

  /** It may have been spoilt on its way: fetched once more. What is as wrong then was written so. */
  private doubt({ kind, key, rev }: Op): void {
    const which = `${rowName(kind, key)} ${rev}`;
    if (this.doubted.has(which)) return;
    if (this.doubted.size >= MAX_DOUBTED) this.doubted.clear();
    this.doubted.add(which);
    this.restorer.onRowsMissing();
  }

  private refuse(op: Op, epoch: string, code: NackCode, message: string): LaneOutcome {
    this.note(op, epoch);
    this.nack(op, code, message);
    return 'done';
  }

  private async put(op: PutOp, epoch: string, attempt: number, receivedMs: number): Promise<LaneOutcome> {
    const { rows, outbox, refused, clock, metrics, log } = this.context;
    const entry = rows.get(op.kind, op.key);
    if (entry?.good && isSame(entry.good, op) && !entry.deleting && !this.deletions.isHeld(op.kind, op.key)) {
      // An adopted row may have, by chance, the very revision that it had before.
      outbox.wanted(op);
      refused.resolve(op.kind, op.key);
      return 'done';
    }
    if (entry?.good && !entry.good.spec && isSameContent(entry.good, op)) {
      // Edited while we were down: now that the row is here, the restorer can say what was changed.
      rows.set({ ...entry, good: { ...entry.good, spec: op.spec } });
      this.restorer.queue(op.kind, op.key);
      return 'done';
    }
    const named = op.kind === 'DataPlane' ? namedKeys(op.spec) : undefined;
    if (named && !(op.kid in named))
      return this.refuse(
        op,
        epoch,
        'SignatureInvalid',
        `key ${op.kid} signed it, which it does not name itself`,
      );
    await this.context.signingKeys.admit(named);
    const result = await putRow(this.context, op);
    this.tellOthersGone(op.kind, op.key, isObstacle(result) ? ownerId(result.live) : op.id);
    if (isObstacle(result)) return this.obstructed(op, result, attempt, receivedMs);
    await this.deletions.forget(op.kind, op.key, result.uid);
    const { deleting: _, ...rest } = rows.get(op.kind, op.key) ?? {
      kind: op.kind,
      key: op.key,
      seenRev: op.rev,
      epoch,
    };
    rows.set({ ...rest, good: result });
    await this.context.signingKeys.settle(named);
    if (op.kind === 'DataPlane') this.submitReleased();
    outbox.applied(op, clock.date());
    refused.resolve(op.kind, op.key);
    metrics.propagation.observe({ stage: 'apply' }, (clock.nowMs() - receivedMs) / 1000);
    const { kind, key, rev, generation, traceparent } = op;
    log.info({ kind, key, rev, generation, ...traceOf(traceparent) }, 'row applied');
    return 'done';
  }

  private async obstructed(
    op: PutOp,
    found: PutObstacle,
    attempt: number,
    receivedMs: number,
  ): Promise<LaneOutcome> {
    if (found.obstacle === 'conflict')
      return this.retryLater(op, 'NameConflict', found.message, attempt, found.live.metadata.uid);
    if (found.obstacle === 'terminating')
      return this.beforePatience(op, 'StillDeleting', found.message, attempt, receivedMs);
    const { kind, key } = op;
    const end = this.endOf(kind, key, found);
    if (!end) return this.nameHeld(op, found, attempt, receivedMs);
    const { id } = end;
    this.mark(end);
    const result = await this.deletions.execute(end, false);
    if (result === 'held' || result === 'deleted') this.ends.forget(rowName(kind, key), id);
    if (result === 'held') {
      this.unmark(end);
      this.nack(end, 'MASS_DELETE_HELD', `${kind} ${key} has a new id; removing ${id} exceeds the budget`);
      return 'done';
    }
    return this.beforePatience(
      op,
      'StillDeleting',
      `the former ${kind} ${id} is being deleted`,
      attempt,
      receivedMs,
    );
  }

  /**
   * The tombstone that ends what has the name. That the name is given anew ends nothing: a restored database may not know
   * of it.
   */
  private endOf(kind: FeedKind, key: string, { id, live }: FormerOwner): Tombstone | undefined {
    const end = this.ends.get(rowName(kind, key), id)?.op ?? this.deletions.heldTombstone(kind, key);
    const applied = live.status?.desired?.generation ?? 0;
    return end?.id === id && end.generation >= applied ? end : undefined;
  }

  /** Whoever has the name keeps it until its tombstone comes, or a person decides. */
  private async nameHeld(
    op: PutOp,
    { id, live }: FormerOwner,
    attempt: number,
    receivedMs: number,
  ): Promise<LaneOutcome> {
    const { kind, key } = op;
    const message =
      `${kind} ${key} is ${id} here, which the control plane has not ended; decide about that one ` +
      '(/v1/data-planes/<name>/unknown-objects)';
    const outcome = this.beforePatience(op, 'NameConflict', message, attempt, receivedMs);
    const arriving = this.arriving.get(rowName(kind, key));
    if (outcome === 'done' || !outcome.settled || !live.status?.desired || !arriving || arriving.isFormerTold)
      return outcome;
    tellHeld(this.context, kind, key, await verifiedRow(this.context, kind, live));
    arriving.isFormerTold = true;
    return outcome;
  }

  private async del(op: Tombstone | DelOp, released: boolean, receivedMs: number): Promise<LaneOutcome> {
    const { rows, outbox, refused, metrics, clock } = this.context;
    const { kind, key, id, generation, rev } = op;
    this.mark(op);
    const result = await this.deletions.execute(op, released);
    if (result !== 'gone' && result !== 'deleted') this.unmark(op);
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
        outbox.deleted({ kind, key, id, generation, rev });
        break;
      case 'held':
        this.nack(
          op,
          'MASS_DELETE_HELD',
          `deleting ${kind} ${key} exceeds the deletion budget; a person must release it`,
        );
        return 'done';
      case 'unmarked':
        this.nack(
          op,
          'IdMismatch',
          `${kind} ${key} is not marked as ${id} any more; only a tombstone that names its id deletes it`,
        );
        return 'done';
    }
    // What is refused of the name's next owner stays refused.
    if (!rows.get(kind, key)?.feed) refused.resolve(kind, key);
    metrics.propagation.observe({ stage: 'delete' }, (clock.nowMs() - receivedMs) / 1000);
    return 'done';
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
  private unmark({ kind, key, id }: Tombstone): void {
    const entry = this.context.rows.get(kind, key);
    if (entry?.deleting?.id !== id) return;
    const { deleting: _, ...rest } = entry;
    this.context.rows.set(rest);
  }

  /** The name is seen to be `owner`'s, or nobody's: of the others that had it nothing is left. */
  private tellOthersGone(kind: FeedKind, key: string, owner: string | undefined): void {
    const { rows, outbox } = this.context;
    const name = rowName(kind, key);
    const marked = rows.get(kind, key)?.deleting;
    if (marked && marked.id !== owner) outbox.deleted({ kind, key, ...marked });
    for (const { op } of this.ends.of(name)) {
      if (op.id === owner) continue;
      outbox.deleted(op);
      this.ends.forget(name, op.id);
    }
  }

  private async surviving(
    op: Op | Tombstone,
    attempt: number,
    receivedMs: number,
    act: () => Promise<LaneOutcome>,
  ): Promise<LaneOutcome> {
    try {
      return await act();
    } catch (error) {
      if (!isClusterError(error)) {
        this.context.log.error({ err: error, kind: op.kind, key: op.key }, 'row not applied: surprise');
        return this.retryLater(op, 'ApplyRejected', `the operator failed: ${String(error)}`, attempt);
      }
      if (error.status === 404)
        return this.beforePatience(op, 'NamespaceMissing', error.message, attempt, receivedMs);
      // The API server is away: no verdict on the row, and nothing could be remembered anyway.
      if (error.status === 0)
        return { retryInMs: this.draw(attempt, { baseMs: 20, capMs: 5_000 }), settled: false };
      // Busy, or a concurrent write: passes by itself. One row whose webhook always fails must not hold the feed.
      if (error.status === 409 || error.status === 429 || error.status >= 500)
        return this.beforePatience(op, 'ApplyRejected', error.message, attempt, receivedMs);
      return this.retryLater(op, 'ApplyRejected', error.message, attempt);
    }
  }

  private beforePatience(
    op: Op | Tombstone,
    code: NackCode,
    message: string,
    attempt: number,
    receivedMs: number,
  ): LaneOutcome {
    const waited = this.context.clock.nowMs() - receivedMs;
    if (waited < PATIENCE_MS) return { retryInMs: this.draw(attempt, FAST), settled: false };
    this.nack(op, code, message);
    return { retryInMs: Math.max(1_000, this.draw(attempt, { baseMs: 50, capMs: 30_000 })), settled: true };
  }

  private retryLater(
    op: Op | Tombstone,
    code: NackCode,
    message: string,
    attempt: number,
    uid?: string,
  ): LaneOutcome {
    this.nack(op, code, message, uid);
    return { retryInMs: 1_000 + this.draw(attempt, SLOW), settled: true };
  }

  private draw(attempt: number, { baseMs, capMs }: { baseMs: number; capMs: number }): number {
    return 5 + drawMs(backoffWindow(attempt, baseMs, capMs), this.context.random);
  }

  /** `uid` is that of the object which has the name, where it is not the row's own. */
  private nack(op: Op | Tombstone, code: NackCode, message: string, uid?: string): void {
    const { rows, refused, metrics, log } = this.context;
    const { kind, key, rev } = op;
    const nack: Nack = {
      kind,
      key,
      rev,
      hash: 'hash' in op ? op.hash : '',
      code,
      message: message.slice(0, 1024),
      retryable: NACK_CODES[code],
    };
    metrics.nacks.inc({ code });
    log.warn(
      { kind, key, rev, code, ...traceOf('traceparent' in op ? op.traceparent : undefined) },
      `row not applied: ${nack.message}`,
    );
    refused.refuse(nack, uid ?? rows.get(kind, key)?.good?.uid);
  }
}

const isSame = (good: GoodRow, op: PutOp): boolean =>
  good.spec !== undefined && good.liveGeneration !== undefined && isSameContent(good, op);

const isSameContent = (good: GoodRow, op: PutOp): boolean =>
  good.id === op.id &&
  good.generation === op.generation &&
  good.hash === op.hash &&
  good.rev === op.rev &&
  good.kid === op.kid &&
  good.sig === op.sig;
