import {
  type DriftItem,
  type FeedKind,
  type HeldObject,
  MAX_REPORT_BYTES,
  MAX_REPORT_ITEMS,
  type Nack,
  PROTO,
  type ReportInput,
  reportReplySchema,
  type SignedOutputKey,
  type StatusItem,
} from '@felucca/contract';
import type { Logger } from 'pino';
import { type ApiAnswer, type ApiClient, type Authorize, problemText } from '../sync/api-client.ts';
import { backoffWindow, drawMs, retryAfterMs } from '../sync/backoff.ts';
import type { Outbox } from '../sync/context.ts';
import type { SyncMetrics } from '../sync/sync-metrics.ts';
import { type Batch, type BatchLimits, itemName, Pending } from './pending.ts';
import { earlyOf, RefusedItems, rejectedNacks, unwantedOf } from './refused-items.ts';

export interface ReporterOptions {
  api: ApiClient;
  authorize: Authorize;
  dataPlaneId: string;
  term: () => number;
  random: () => number;
  date: () => Date;
  metrics: SyncMetrics;
  log: Logger;
  /** The API no longer knows our session: the feed must say hello again. */
  onSessionRefused: () => void;
  /** The control plane does not know, or no longer, the rows that were refused. */
  onNacksRejected: (nacks: readonly Nack[]) => void;
  /** What sensitive outputs are to be sealed to; comes with each answer, and is signed. */
  onOutputKey: (key: SignedOutputKey) => void;
  coalesceMs?: number;
  askAgainMs?: number;
}

interface Session {
  id: string;
  epoch: string;
  seq: number;
}

type StatusInput = Omit<StatusItem, 'observedSeq'>;

const COALESCE_MS = 120;
const REPORT_TIMEOUT_MS = 30_000;
/** What the control plane does not take (its organization is unknown there) is said again after this time. */
const ASK_AGAIN_MS = 300_000;
/** Room for the envelope. */
const LIMITS: BatchLimits = { items: MAX_REPORT_ITEMS, bytes: MAX_REPORT_BYTES - 4_096 };
/** Times of application are kept for this many rows, to be sent with their first status. */
const MAX_APPLIED_TIMES = 20_000;

/**
 * Sends what is pending: at least once, the same body under the same sequence number until it is accepted.
 * Without a session (the feed is away) it only collects.
 */
export class Reporter implements Outbox {
  private readonly options: ReporterOptions;
  private readonly pending = new Pending();
  private readonly refused = new RefusedItems();
  private readonly appliedAt = new Map<string, { generation: number; at: string }>();
  /** Ends of objects that the control plane has not accepted, by revision of their tombstone. */
  private readonly unreportedEnds = new Map<string, bigint>();
  private session: Session | undefined;
  private lastEpoch: string | undefined;
  private isKeyHeard = false;
  private limits = LIMITS;
  private lastObservedSeq = 0;
  private timer: NodeJS.Timeout | undefined;
  private askAgainTimer: NodeJS.Timeout | undefined;
  private sending: Promise<void> | undefined;
  private abortWait: (() => void) | undefined;
  private stopped = false;
  /** Called when `oldestUnreportedEnd` may have changed: the durable cursor follows it. */
  onEndsChanged: () => void = () => {};

  constructor(options: ReporterOptions) {
    this.options = options;
  }

  get backlog(): number {
    return this.pending.size;
  }

  /** A hello arrived. The first one of a process and each new epoch get everything again. */
  sessionStarted(id: string, epoch: string): boolean {
    const full = this.lastEpoch !== epoch;
    this.lastEpoch = epoch;
    this.session = { id, epoch, seq: 0 };
    if (full) this.pending.forgetAccepted();
    else if (!this.isKeyHeard) this.pending.untellSealingKey();
    this.abortWait?.();
    this.schedule();
    return full;
  }
  sessionEnded(): void {
    this.session = undefined;
    this.abortWait?.();
  }

  status(item: StatusInput): void {
    const applied = this.appliedAt.get(itemName(item));
    const appliedAt = applied && applied.generation === item.generation ? { appliedAt: applied.at } : {};
    if (this.pending.addStatus({ ...item, ...appliedAt, observedSeq: this.nextObservedSeq() }))
      this.schedule();
  }
  drift(item: DriftItem): void {
    this.pending.addDrift(item);
    this.schedule();
  }
  nack(nack: Nack): void {
    this.pending.addNack(nack);
    this.schedule();
  }
  nackResolved(row: { kind: FeedKind; key: string; id: string }): void {
    this.pending.dropNack(row);
  }
  /** It is here, so that what waits to be said of its end is not true any more. */
  unknown(object: HeldObject): void {
    this.pending.addUnknown(object);
    if (this.unreportedEnds.delete(itemName(object))) this.onEndsChanged();
    this.schedule();
  }
  unknownGone(item: { kind: FeedKind; key: string; id: string; generation: number }): void {
    this.pending.dropUnknown(item);
    this.status({ ...item, local: false, digest: '', deleted: true, conditions: [] });
  }
  ending(item: { kind: FeedKind; key: string; id: string; rev: string }): void {
    this.unreportedEnds.set(itemName(item), BigInt(item.rev));
    this.onEndsChanged();
  }
  deleted(item: { kind: FeedKind; key: string; id: string; generation: number; rev: string }): void {
    const { kind, key, id, generation, rev } = item;
    this.appliedAt.delete(itemName(item));
    this.unreportedEnds.set(itemName(item), BigInt(rev));
    this.status({ kind, key, id, generation, local: false, digest: '', deleted: true, conditions: [] });
    this.onEndsChanged();
  }
  wanted(row: { kind: FeedKind; key: string; id: string }): void {
    this.pending.dropUnknown(row);
    this.pending.wanted(row);
    this.schedule();
  }
  applied(row: { kind: FeedKind; key: string; id: string; generation: number }, at: Date): void {
    this.pending.dropEnd(row);
    this.wanted(row);
    if (this.unreportedEnds.delete(itemName(row))) this.onEndsChanged();
    if (this.appliedAt.size > MAX_APPLIED_TIMES) this.appliedAt.clear();
    this.appliedAt.set(itemName(row), { generation: row.generation, at: at.toISOString() });
  }
  acknowledge(cursor: string, digest: string): void {
    this.pending.setAck(cursor, digest);
    this.schedule();
  }

  /** What sensitive values are to be sealed to; told once, and again to a control plane that may have lost it. */
  tellSealingKey(key: string): void {
    this.pending.setSealingKey(key);
    this.schedule();
  }

  /** The smallest revision whose object's end the control plane does not know yet. */
  oldestUnreportedEnd(): bigint | undefined {
    let oldest: bigint | undefined;
    for (const rev of this.unreportedEnds.values()) if (oldest === undefined || rev < oldest) oldest = rev;
    return oldest;
  }

  /** Sends what is pending, bounded by `timeoutMs`, and stops. */
  async stop(timeoutMs: number): Promise<void> {
    clearTimeout(this.timer);
    clearTimeout(this.askAgainTimer);
    this.timer = undefined;
    if (this.session && this.pending.size > 0 && !this.sending) this.sending = this.drain();
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([this.sending ?? Promise.resolve(), deadline]);
    clearTimeout(timer);
    this.stopped = true;
    this.abortWait?.();
  }

  private schedule(): void {
    this.options.metrics.reportPending.set(this.pending.size);
    if (this.stopped || this.timer || this.sending || !this.session || this.pending.size === 0) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.sending = this.drain().finally(() => {
        this.sending = undefined;
        this.schedule();
      });
    }, this.options.coalesceMs ?? COALESCE_MS);
    this.timer.unref();
  }

  private async drain(): Promise<void> {
    while (this.session && !this.stopped) {
      const { session } = this;
      const batch = this.pending.take(this.limits);
      if (!batch) return;
      if (isEmpty(batch)) return this.dropOversized();
      session.seq += 1;
      if (!(await this.deliver(session, batch))) return;
    }
  }

  /** True when the batch is settled one way or the other and the session still stands. */
  private async deliver(session: Session, batch: Batch): Promise<boolean> {
    const report: ReportInput = {
      proto: PROTO,
      session: session.id,
      epoch: session.epoch,
      seq: session.seq,
      term: this.options.term(),
      ...batch,
    };
    const body = JSON.stringify(report);
    const { api, authorize, dataPlaneId, metrics, log } = this.options;
    const path = `/v1/data-planes/${dataPlaneId}/reports`;
    for (let attempt = 0; ; attempt += 1) {
      const answer = await api
        .postJson(path, body, REPORT_TIMEOUT_MS, authorize)
        .catch((error: Error) => ({ status: 0, retryAfter: undefined, body: { detail: error.message } }));
      const verdict = judge(answer);
      metrics.reports.inc({ result: verdict });
      if (verdict === 'accepted') {
        // By a database that has been put back since: the one of the new epoch has not heard it.
        if (session.epoch !== this.lastEpoch) return this.giveBack(session, batch);
        this.accepted(batch, answer);
        return true;
      }
      if (attempt === 0)
        log.warn({ verdict, items: sizeOf(batch) }, `report not accepted: ${problemText(answer)}`);
      if (verdict === 'session') return this.sessionRefused(session, batch);
      if (verdict === 'unacceptable') return this.split(batch, answer);
      if (this.session !== session || this.stopped) return this.giveBack(session, batch);
      await this.pause(attempt, answer);
      if (this.session !== session || this.stopped) return this.giveBack(session, batch);
    }
  }

  private accepted(batch: Batch, answer: ApiAnswer): void {
    this.limits = LIMITS;
    const reply = reportReplySchema.safeParse(answer.body).data;
    const rejected = reply?.rejected ?? [];
    if (reply?.outputKey) this.options.onOutputKey(reply.outputKey);
    // Who has one knows of the other. A control plane that does not yet is asked in its next session.
    if (batch.sealingKey) this.isKeyHeard = reply?.outputKey !== undefined;
    const news = this.refused.newsOf(batch, rejected);
    if (news.length > 0)
      this.options.log.warn(
        { rejected: news.slice(0, 5), count: news.length },
        'the control plane refused items of a report',
      );
    this.pending.settle(batch, unwantedOf(batch, rejected), earlyOf(rejected));
    const nacks = rejectedNacks(batch, rejected);
    if (nacks.length > 0) this.options.onNacksRejected(nacks);
    if (this.pending.hasUnwanted) this.askAgainLater();
    for (const item of batch.status) if (item.deleted) this.unreportedEnds.delete(itemName(item));
    this.onEndsChanged();
  }

  private askAgainLater(): void {
    if (this.stopped) return;
    this.askAgainTimer ??= setTimeout(() => {
      this.askAgainTimer = undefined;
      this.pending.askAgain();
      this.schedule();
    }, this.options.askAgainMs ?? ASK_AGAIN_MS).unref();
  }

  private giveBack(session: Session, batch: Batch): false {
    // A cursor means nothing outside of its epoch.
    const { ack: _, ...rest } = batch;
    this.pending.putBack(session.epoch === this.lastEpoch ? batch : rest);
    return false;
  }

  /** A newer hello may have replaced the session meanwhile (each long poll is one): then only the batch waits. */
  private sessionRefused(refused: Session, batch: Batch): boolean {
    this.giveBack(refused, batch);
    if (this.session !== refused) return true;
    this.session = undefined;
    this.options.onSessionRefused();
    return false;
  }

  /** One bad item must not block the others: halve until it stands alone, then drop it with a log line. */
  private split(batch: Batch, answer: ApiAnswer): boolean {
    const items = sizeOf(batch);
    if (items > 1) {
      this.pending.putBack(batch);
      this.limits = { ...this.limits, items: Math.max(1, Math.floor(items / 2)) };
      return true;
    }
    this.options.log.error(
      { batch, answer: problemText(answer) },
      'a report item was refused for good; dropped',
    );
    this.pending.settle(batch);
    for (const item of batch.status) if (item.deleted) this.unreportedEnds.delete(itemName(item));
    this.limits = LIMITS;
    return true;
  }

  /** The next item alone exceeds a whole report. */
  private dropOversized(): void {
    const batch = this.pending.take({ items: 1, bytes: Number.MAX_SAFE_INTEGER });
    if (batch)
      this.options.log.error({ items: sizeOf(batch) }, 'a report item is larger than a report; dropped');
  }

  private pause(attempt: number, answer: ApiAnswer): Promise<void> {
    const asked = retryAfterMs(answer.retryAfter, this.options.date().getTime());
    const ms = (asked ?? 0) + drawMs(backoffWindow(attempt), this.options.random);
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      timer.unref();
      this.abortWait = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Grows across restarts as long as the wall clock does; the generation decides before it. */
  private nextObservedSeq(): number {
    this.lastObservedSeq = Math.max(this.lastObservedSeq + 1, this.options.date().getTime());
    return this.lastObservedSeq;
  }
}

type Verdict = 'accepted' | 'session' | 'unacceptable' | 'retry';

function judge(answer: ApiAnswer): Verdict {
  if (answer.status >= 200 && answer.status < 300) return 'accepted';
  if (answer.status === 409) return 'session';
  if (answer.status === 400 || answer.status === 413 || answer.status === 422) return 'unacceptable';
  return 'retry';
}

const sizeOf = (batch: Batch): number =>
  batch.status.length + batch.nacks.length + batch.drift.length + batch.unknown.length;
const isEmpty = (batch: Batch): boolean =>
  sizeOf(batch) === 0 && batch.ack === undefined && batch.sealingKey === undefined;
