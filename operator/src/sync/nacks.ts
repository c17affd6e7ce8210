import { type Nack, type Op, traceOf } from '@felucca/contract';
import { backoffWindow, drawMs } from './backoff.ts';
import type { SyncContext } from './context.ts';
import type { Tombstone } from './deletions.ts';
import type { LaneOutcome } from './lanes.ts';
import { isClusterError } from './put-row.ts';

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

/** How long a fact that usually passes (a namespace being made, a finalizer) may hold the cursor. */
const PATIENCE_MS = 10_000;
const FAST = { baseMs: 20, capMs: 1_000 };
const SLOW = { baseMs: 5_000, capMs: 300_000 };

/** What becomes of an operation that cannot be carried out now: refused for good, told and tried again, or only waited for. */
export class Nacks {
  private readonly context: SyncContext;

  constructor(context: SyncContext) {
    this.context = context;
  }

  async surviving(
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

  beforePatience(
    op: Op | Tombstone,
    code: NackCode,
    message: string,
    attempt: number,
    receivedMs: number,
  ): LaneOutcome {
    if (this.isPatient(receivedMs)) return { retryInMs: this.draw(attempt, FAST), settled: false };
    this.nack(op, code, message);
    return { retryInMs: Math.max(1_000, this.draw(attempt, { baseMs: 50, capMs: 30_000 })), settled: true };
  }

  retryLater(
    op: Op | Tombstone,
    code: NackCode,
    message: string,
    attempt: number,
    uid?: string,
  ): LaneOutcome {
    this.nack(op, code, message, uid);
    return { retryInMs: 1_000 + this.draw(attempt, SLOW), settled: true };
  }

  /** What usually passes may still pass. */
  isPatient(receivedMs: number): boolean {
    return this.context.clock.nowMs() - receivedMs < PATIENCE_MS;
  }

  private draw(attempt: number, { baseMs, capMs }: { baseMs: number; capMs: number }): number {
    return 5 + drawMs(backoffWindow(attempt, baseMs, capMs), this.context.random);
  }

  /** A deletion waits for a person. */
  held(tombstone: Tombstone): void {
    const { kind, key } = tombstone;
    this.nack(
      tombstone,
      'MASS_DELETE_HELD',
      `deleting ${kind} ${key} exceeds the deletion budget; a person must release it`,
    );
  }

  /** `uid` is that of the object which has the name, where it is not the row's own. */
  nack(op: Op | Tombstone, code: NackCode, message: string, uid?: string): void {
    const { rows, refused, metrics, log } = this.context;
    const { kind, key, id, rev } = op;
    const nack: Nack = {
      kind,
      key,
      id,
      rev,
      hash: 'hash' in op ? op.hash.slice(0, 80) : '',
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
