import { DATA_PLANE_NAME, type FeedKind, type Op, type PutOp, traceOf } from '@felucca/contract';
import type { SyncContext } from './context.ts';
import type { Deletions, Tombstone } from './deletions.ts';
import { Ends } from './ends.ts';
import { tellHeld } from './held-object.ts';
import { verifiedRow } from './hydrate.ts';
import { type LaneOutcome, type Lanes, together } from './lanes.ts';
import { type NackCode, Nacks } from './nacks.ts';
import { isClusterError, isObstacle, ownerId, type PutObstacle, putRow } from './put-row.ts';
import { afterClusterError, type Restorer } from './restore.ts';
import { type GoodRow, guardRow, rowName } from './rows.ts';
import { namedKeys } from './signing-keys.ts';
import { Tombstones } from './tombstones.ts';

/** What ends an owner of a name, and whether a person said so. */
interface Ending {
  op: Tombstone;
  released?: boolean;
}
type FormerOwner = Extract<PutObstacle, { obstacle: 'otherId' }>;

const MAX_DOUBTED = 10_000;
/** Owners of one name that are remembered. */
const MAX_OF_NAME = 4;
/** Its row was replaced or withdrawn while it was at work. */
const AT_ONCE: LaneOutcome = { retryInMs: 0, settled: false };
const OWN_ROW = rowName('DataPlane', DATA_PLANE_NAME);

/** A row whose lane still works on it. */
interface Arriving {
  op: PutOp;
  epoch: string;
  receivedMs: number;
  /** It was verified, and passed the guard. */
  isAdmitted?: boolean;
  /** The control plane was told why it is not applied; it is still tried. */
  isRefused?: boolean;
  /** The control plane was told who has the name. */
  isFormerTold?: boolean;
}

/** Whether a snapshot left out a name of which this was the newest that the feed had said. */
export type IsUnnamed = (kind: FeedKind, key: string, seen: { epoch: string; rev: string }) => boolean;

/** Applies operations of the feed: verify, guard, write, record. One instance per feed. */
export class RowApplier {
  private readonly arriving = new Map<string, Arriving>();
  /** Rows that left the feed, or lost their name, while they were at work, as long as somebody has to see what became of them. */
  private readonly leaving = new Map<string, Arriving[]>();
  private readonly ends = new Ends();
  /** Revisions that were fetched again because nobody we trust had signed what came. */
  private readonly doubted = new Set<string>();
  private readonly context: SyncContext;
  private readonly lanes: Lanes;
  private readonly deletions: Deletions;
  private readonly restorer: Restorer;
  private readonly nacks: Nacks;
  private readonly tombstones: Tombstones;

  constructor(context: SyncContext, lanes: Lanes, deletions: Deletions, restorer: Restorer) {
    this.context = context;
    this.lanes = lanes;
    this.deletions = deletions;
    this.restorer = restorer;
    this.nacks = new Nacks(context);
    this.tombstones = new Tombstones(context, deletions, restorer, this.ends, this.nacks);
  }

  /** Resolves when the operation is durable in the cluster or has been NACKed. */
  submit(op: Op, epoch: string): Promise<void> {
    const receivedMs = this.context.clock.nowMs();
    const name = rowName(op.kind, op.key);
    // Whatever it began, this operation finishes or takes away.
    if (this.leaving.has(name) && this.context.trust.verify(op, this.context.dataPlaneId).ok)
      this.forgetLeaving(name, op.id);
    if (op.op === 'put') {
      const former = this.arriving.get(name);
      if (former?.isAdmitted && former.op.id !== op.id) this.seeOff(name, former);
      this.arriving.set(name, { op, epoch, receivedMs });
      this.ends.forget(name, op.id);
    } else {
      this.ends.add({ op, epoch, receivedMs });
      // The name's next owner stays: it waits for this end.
      if (this.arriving.get(name)?.op.id === op.id) this.arriving.delete(name);
    }
    return this.submitWork(name);
  }

  /**
   * Each job does all that there is to do for its name, as newer ones take the place of those that wait: nothing is theirs alone.
   */
  private submitWork(name: string): Promise<void> {
    return this.lanes.submit(name, { run: (attempt) => this.work(name, attempt) });
  }

  private async work(name: string, attempt: number): Promise<LaneOutcome> {
    const left = await this.leave(name, attempt);
    this.admitEnds(name);
    const arriving = this.arriving.get(name);
    const arrived = arriving ? await this.arrive(arriving, attempt) : 'done';
    if (this.arriving.get(name) !== arriving) return AT_ONCE;
    if (arrived === 'done') this.arriving.delete(name);
    else if (!arrived.settled) return arrived;
    else if (arriving) arriving.isRefused = true;
    const ended = await this.carryOut(name, attempt);
    // Withdrawn in between.
    if (left === 'done' && this.leaving.has(name)) return AT_ONCE;
    return together([left, arrived, ended]);
  }

  private async arrive(arriving: Arriving, attempt: number): Promise<LaneOutcome> {
    const { op, epoch, receivedMs } = arriving;
    const refusal = this.guard(op, epoch);
    arriving.isAdmitted = refusal === undefined;
    return (
      refusal ??
      (await this.nacks.surviving(op, attempt, receivedMs, () => this.put(op, epoch, attempt, receivedMs)))
    );
  }

  /** Rows that left the feed without a tombstone, as a snapshot shows: what still works on them would bring them back. */
  withdraw(isUnnamed: IsUnnamed): void {
    for (const [name, arriving] of this.arriving) {
      const { op, epoch } = arriving;
      if (!isUnnamed(op.kind, op.key, { epoch, rev: op.rev })) continue;
      this.arriving.delete(name);
      this.seeOff(name, arriving);
      this.lanes.hurry(name);
    }
  }
  private seeOff(name: string, arriving: Arriving): void {
    this.leaving.set(name, [...(this.leaving.get(name) ?? []), arriving].slice(-MAX_OF_NAME));
  }

  /** Finishes what rows had begun that left, and sees who has the name. */
  private async leave(name: string, attempt: number): Promise<LaneOutcome> {
    for (const { op, isAdmitted } of this.leaving.get(name) ?? []) {
      const { kind, key, id } = op;
      try {
        await this.restorer.findHolder(op, isAdmitted ?? false);
      } catch (error) {
        if (isClusterError(error)) return afterClusterError(error, attempt);
        // What comes next of the name must not wait for it.
        this.context.log.error({ err: error, kind, key }, 'not known who has the name: surprise');
      }
      this.tombstones.tellHolder(kind, key);
      this.context.refused.resolve(kind, key, id);
      this.forgetLeaving(name, id);
    }
    return 'done';
  }

  private forgetLeaving(name: string, id: string): void {
    const others = this.leaving.get(name)?.filter(({ op }) => op.id !== id) ?? [];
    if (others.length > 0) this.leaving.set(name, others);
    else this.leaving.delete(name);
  }

  /** Of each owner that the name had. One that is refused holds up no other. */
  private async carryOut(name: string, attempt: number): Promise<LaneOutcome> {
    this.admitEnds(name);
    const outcomes: LaneOutcome[] = [];
    for (const end of this.ends.of(name)) {
      const { op, receivedMs, released } = end;
      const isCurrent = (): boolean => this.ends.has(end);
      if (this.isRuleArriving(receivedMs)) return { retryInMs: 10, settled: false };
      const outcome = await this.nacks.surviving(op, attempt, receivedMs, () =>
        this.tombstones.carryOut(op, released ?? false, receivedMs, isCurrent),
      );
      if (outcome === 'done') this.ends.carriedOut(end);
      else if (!outcome.settled) return outcome;
      outcomes.push(outcome);
    }
    return together(outcomes);
  }

  /** All at once, before anything newer of the name makes them look old. */
  private admitEnds(name: string): void {
    for (const end of this.ends.of(name)) {
      if (!end.admitted && this.guard(end.op, end.epoch)) this.ends.forget(name, end.op.id);
      end.admitted = true;
    }
  }

  /**
   * A held tombstone that a person released, or that only waited for the comparison (`released` false). It is an end like
   * any other: the name's next owner may be waiting for it.
   */
  submitHeld(tombstone: Tombstone, released: boolean): Promise<void> {
    const name = rowName(tombstone.kind, tombstone.key);
    // Meanwhile its resource is wanted again.
    if (this.arriving.get(name)?.op.id === tombstone.id) return Promise.resolve();
    const receivedMs = this.context.clock.nowMs();
    // It has passed the guard before it was held.
    this.ends.add({ op: { ...tombstone, op: 'del' }, epoch: '', receivedMs, admitted: true, released });
    return this.submitWork(name);
  }

  /** To a control plane that may have forgotten: what is refused here, and which deletions wait. */
  tellAgain(): void {
    this.context.refused.tellAgain();
    for (const arriving of this.arriving.values()) arriving.isFormerTold = false;
    for (const tombstone of this.deletions.waiting()) this.nacks.held(tombstone);
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
    const { ended = [] } = old.epoch === epoch ? old : {};
    const others = op.op === 'del' ? [...ended, id].slice(-MAX_OF_NAME) : ended.filter((one) => one !== id);
    rows.set({ ...old, seenRev: rev, epoch, ended: others, ...feed });
    // Its edits were nobody's matter as long as the feed did not name it.
    if (op.op === 'put' && old.good?.id === id && old.feed?.id !== id) this.restorer.queue(kind, key);
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
    // Whoever has the name keeps it, and the feed may no longer say whose it is.
    this.tombstones.tellHolder(op.kind, op.key);
    this.nacks.nack(op, code, message);
    return 'done';
  }

  private async put(op: PutOp, epoch: string, attempt: number, receivedMs: number): Promise<LaneOutcome> {
    const { rows, outbox, refused, clock, metrics, log } = this.context;
    const entry = rows.get(op.kind, op.key);
    // What is on its way out, or waits to be sent there, stays only if it is written again.
    const kept = entry?.deleting || this.deletions.isHeld(op.kind, op.key) ? undefined : entry?.good;
    if (kept && isSame(kept, op)) {
      // An adopted row may have, by chance, the very revision that it had before.
      outbox.wanted(op);
      refused.resolve(op.kind, op.key);
      return 'done';
    }
    if (kept && !kept.spec && isSameContent(kept, op)) {
      // Edited while we were down: now that the row is here, the restorer can say what was changed.
      rows.update(op.kind, op.key, { good: { ...kept, spec: op.spec } });
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
    this.tombstones.tellOthersGone(op.kind, op.key, isObstacle(result) ? ownerId(result.live) : op.id);
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
    // A snapshot that came while this waited may no longer name it.
    this.tombstones.tellHolder(op.kind, op.key);
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
      return this.nacks.retryLater(op, 'NameConflict', found.message, attempt, found.live.metadata.uid);
    if (found.obstacle === 'terminating')
      return this.nacks.beforePatience(op, 'StillDeleting', found.message, attempt, receivedMs);
    const { kind, key } = op;
    const end = this.endOf(kind, key, found);
    if (!end) return this.nameHeld(op, found, attempt, receivedMs);
    if (this.isRuleArriving(receivedMs)) return { retryInMs: 10, settled: false };
    const { id } = end.op;
    const isCurrent = (): boolean => this.arriving.get(rowName(kind, key))?.op === op;
    const result = await this.tombstones.attempt(end.op, end.released ?? false, isCurrent);
    if (result === 'held' || result === 'deleted') this.ends.carriedOut(end);
    if (result === 'held') {
      this.nacks.held(end.op);
      return 'done';
    }
    return this.nacks.beforePatience(
      op,
      'StillDeleting',
      `the former ${kind} ${id} is being deleted`,
      attempt,
      receivedMs,
    );
  }

  /**
   * The data plane's own row came before a deletion, and may release it or change the budget: by the former rule too much
   * would go, or be held for a moment, which looks like an alarm.
   */
  private isRuleArriving(receivedMs: number): boolean {
    const own = this.arriving.get(OWN_ROW);
    return own !== undefined && !own.isRefused && this.nacks.isPatient(receivedMs);
  }

  /**
   * The tombstone that ends what has the name. That the name is given anew ends nothing: a restored database may not know
   * of it.
   */
  private endOf(kind: FeedKind, key: string, { id, live }: FormerOwner): Ending | undefined {
    const held = this.deletions.heldTombstone(kind, key);
    const known = this.ends.get(rowName(kind, key), id);
    // What came while we wrote has not been verified yet.
    const end: Ending | undefined = known?.admitted ? known : held && { op: held };
    const applied = live.status?.desired?.generation ?? 0;
    return end?.op.id === id && end.op.generation >= applied ? end : undefined;
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
    const outcome = this.nacks.beforePatience(op, 'NameConflict', message, attempt, receivedMs);
    const arriving = this.arriving.get(rowName(kind, key));
    if (outcome === 'done' || !outcome.settled || !live.status?.desired || !arriving || arriving.isFormerTold)
      return outcome;
    tellHeld(this.context, kind, key, await verifiedRow(this.context, kind, live));
    arriving.isFormerTold = true;
    return outcome;
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
