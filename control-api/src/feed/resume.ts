import { NO_BUCKETS } from '@felucca/contract';

/** What an operator says it has, from the query of GET …/sync. */
export interface OperatorPosition {
  /** Empty on first contact. */
  epoch: string;
  cursor: bigint;
  /** Empty when the operator does not know it yet: then only (epoch, cursor) decide. */
  digest: string;
  /** It can be told the digests of buckets. */
  canVerify?: boolean;
  /** Buckets that it has found to differ. */
  repair?: string;
}

/** The data plane's counter row, read after the request arrived. */
export interface HeadPosition {
  epoch: string;
  head: bigint;
  /** Tombstones up to here may be gone. */
  compacted: bigint;
  digest: string;
}

export type ResetReason = 'NEW' | 'COMPACTED' | 'EPOCH' | 'CURSOR_AHEAD' | 'DIVERGED';

export type ResumeDecision =
  /** Rows above `from` follow; none if it is the head. `repair`: beside them come all rows of these buckets. */
  | { mode: 'resume'; from: bigint; repair?: string }
  /** The digests of all buckets follow, and nothing else: the operator comes again for those that differ. */
  | { mode: 'verify' }
  /** A snapshot follows. `newEpoch`: the counter went backwards, so its epoch must not be used again. */
  | { mode: 'reset'; reason: ResetReason; newEpoch: boolean };

const reset = (reason: ResetReason, newEpoch = false): ResumeDecision => ({
  mode: 'reset',
  reason,
  newEpoch,
});

/**
 * Where the feed goes on: constant time, no query. Rows may be skipped only if the operator
 * provably has them; in doubt it gets a snapshot, which deletes nothing.
 */
export function decideResume(operator: OperatorPosition, head: HeadPosition): ResumeDecision {
  if (operator.epoch === '') return reset('NEW');
  if (operator.epoch !== head.epoch) {
    if (operator.digest === '' || operator.digest !== head.digest) return reset('EPOCH');
    // The same rows under a new counter: revisions are part of the digest, so equal means equal. Of tombstones it says
    // nothing: those that are left come beside the tail, and no rows with them.
    return { mode: 'resume', from: head.head, ...(operator.canVerify ? { repair: NO_BUCKETS } : {}) };
  }
  if (operator.cursor > head.head) return reset('CURSOR_AHEAD', true);
  if (operator.cursor < head.compacted) return reset('COMPACTED');
  if (operator.repair !== undefined)
    return { mode: 'resume', from: operator.cursor, repair: operator.repair };
  if (operator.cursor === head.head && operator.digest !== '' && operator.digest !== head.digest)
    return operator.canVerify ? { mode: 'verify' } : reset('DIVERGED');
  return { mode: 'resume', from: operator.cursor };
}
