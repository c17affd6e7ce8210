import type { Frame } from '@felucca/contract';
import type { FeedRow, Head, Page } from './rows.ts';

/**
 * One connected operator as a pure machine: what can be, what can happen, and what is to be done then. Which step follows
 * which event is in stream-transitions.ts. It has a cursor and no queue: what was not sent yet is in Postgres, so an
 * operator that reads slowly costs one page of memory.
 */

/** What does not change as long as the connection lasts. */
export interface StreamTerms {
  dataPlaneId: string;
  keyId: string;
  session: string;
  transport: 'stream' | 'poll';
  epoch: string;
  /** Buckets whose rows are sent beside the tail. */
  repair: string | undefined;
  /** When a stream is asked to reconnect, and a long poll has its answer whatever there is. */
  endsAtMs: number;
  heartbeatMs: number;
  /** How long a socket may refuse to take more. */
  slowMs: number;
  tickMs: number;
}

/** Rows come before the tail, rows of some buckets beside it, the tail alone, or nothing any more. */
export type StreamPhase = 'snapshot' | 'repair' | 'tail' | 'closed';

export interface StreamState {
  phase: StreamPhase;
  /** Everything up to here has been written. */
  cursor: bigint;
  /** The counter row as last read; digest and count are those of `known.head`. */
  known: Head;
  /** Pages of the snapshot so far. */
  pages: number;
  /** Written to faster than read: since when. */
  blockedSinceMs: number | undefined;
  lastWriteMs: number;
  owesBookmark: boolean;
  bookmarked: boolean;
  sentRows: boolean;
}

export type StreamEvent = { nowMs: number } & (
  | { type: 'attached' }
  /** Head and rows above its cursor, of one snapshot of the database, and when they were read. */
  | { type: 'delta'; page: Page; readMs: number }
  /** Some of the rows that `at` speaks about. */
  | { type: 'page'; at: bigint; rows: FeedRow[]; last: boolean }
  /** The counter row alone. */
  | { type: 'head'; head: Head }
  /** The data plane is deleted, or the key revoked. */
  | { type: 'revoked' }
  | { type: 'superseded' }
  /** The rows of a snapshot could not be read. */
  | { type: 'unreadable' }
  /** The socket takes no more, and takes more again. */
  | { type: 'full' }
  | { type: 'room' }
  /** Regularly; whoever loses its connection is to come back within this time. */
  | { type: 'tick'; reconnectWithinMs: number }
  | { type: 'shutdown'; windowMs: number }
  | { type: 'socketClosed' }
);

export type DrainReason = Extract<Frame, { type: 'drain' }>['reason'];

export type StreamEffect =
  | { do: 'write'; line: string }
  /** After what has been written; a peer that does not read loses the socket soon after. */
  | { do: 'end'; line?: string; drained?: DrainReason }
  /** Read what is above the cursor with the next batch. */
  | { do: 'read' }
  | { do: 'sent'; frame: 'delta'; rows: readonly FeedRow[]; readMs: number }
  | { do: 'sent'; frame: 'snapshot'; rows: readonly FeedRow[] };

export interface StreamStep {
  state: StreamState;
  effects: readonly StreamEffect[];
}

export const initialStream = (
  phase: StreamPhase,
  cursor: bigint,
  known: Head,
  nowMs: number,
): StreamState => ({
  phase,
  cursor,
  known,
  pages: 0,
  blockedSinceMs: undefined,
  lastWriteMs: nowMs,
  owesBookmark: true,
  bookmarked: false,
  sentRows: false,
});

export const isCaughtUp = ({ phase, cursor, known }: StreamState): boolean =>
  (phase === 'tail' || phase === 'repair') && cursor === known.head;
