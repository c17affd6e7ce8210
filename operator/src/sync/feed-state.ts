import type { Frame, Op } from '@felucca/contract';
import type { WaitWindow } from './backoff.ts';

/**
 * The feed client as a pure machine: what can be, what can happen, and what is to be done then. Which step follows which
 * event is in feed-transitions.ts. The shell in feed-client.ts performs the effects in order and owns sockets, timers and
 * randomness.
 */

/** What survives a connection. Revisions are decimal strings. */
export interface FeedMemory {
  dataPlaneId: string;
  epoch: string;
  /** Last revision received; it becomes durable when the pipeline has settled it. */
  cursor: string;
  attempt: number;
  /** A lost connection is tried again within this time, or later: as the server said last. */
  reconnectWithinMs: number;
  transport: 'stream' | 'poll';
  /** Streams in a row on which not even a hello arrived: the sign of a buffering proxy. */
  mute: number;
  /** Long polls to go before a stream is tried again. */
  pollsLeft: number;
  /** Buckets whose rows differ from the control plane's and are to be sent again; "" when none are known to. */
  repair: string;
  /** How often buckets were compared since both sides agreed. */
  comparisons: number;
}

/** The last page of a snapshot that has arrived, and the revision that all of them speak about. */
export interface ArrivedPage {
  at: string;
  page: number;
}

interface Greeted {
  memory: FeedMemory;
  session: string;
  deadlineMs: number;
}

export type FeedState =
  | { phase: 'stopped'; memory: FeedMemory }
  | { phase: 'waiting'; memory: FeedMemory; why: string; halted: boolean }
  | { phase: 'connecting'; memory: FeedMemory }
  | ({ phase: 'tailing' } & Greeted)
  /** The tail goes on, and rows of the buckets in `memory.repair` come beside it. */
  | ({ phase: 'repairing'; arrived?: ArrivedPage } & Greeted)
  | ({ phase: 'resetting'; epoch: string; arrived?: ArrivedPage } & Greeted);

export type FeedEvent =
  | { type: 'start' }
  | { type: 'stop' }
  | { type: 'retryDue' }
  | Frame
  /** The connection ended; `why` is a metric label, `message` what the network, TLS or the parser said, for people. */
  | { type: 'closed'; why: string; message?: string }
  /** No byte within the deadline. */
  | { type: 'silent' }
  /** An HTTP answer other than 200. */
  | { type: 'refused'; status: number; retryAfterMs?: number; message: string }
  | { type: 'stable' }
  | { type: 'digestDiffers' }
  | { type: 'digestAgrees' }
  /** Buckets that differ, after `findDifference`. */
  | { type: 'differenceFound'; repair: string }
  /** A verified row isn't held and can't be rebuilt from the cluster. */
  | { type: 'rowsMissing' }
  /** The API answered 409 to a report: our session is no longer the current one. */
  | { type: 'sessionRefused' };

export type FeedEffect =
  | { do: 'connect'; transport: 'stream' | 'poll'; epoch: string; cursor: string; repair: string }
  | { do: 'disconnect' }
  | ({ do: 'wait' } & WaitWindow)
  | { do: 'watchdog'; ms: number }
  | { do: 'stableIn'; ms: number }
  | { do: 'greet'; session: string; epoch: string; head: string; reset?: string; heartbeatMs: number }
  | { do: 'adopt'; epoch: string; cursor: string }
  | { do: 'findDifference'; buckets: string[] }
  /** `repair`: of these buckets only; the cursor stays where it is. */
  | { do: 'snapshotBegins'; epoch: string; repair?: string }
  | { do: 'snapshotRows'; epoch: string; ops: Op[] }
  | { do: 'snapshotEnds'; epoch: string; at: string }
  | { do: 'rows'; epoch: string; to: string; ops: Op[] }
  | { do: 'compare'; cursor: string; digest: string; count: number }
  | { do: 'lost'; why: string; message: string; halted: boolean };

export interface FeedStep {
  state: FeedState;
  effects: FeedEffect[];
}

export const initialFeed = (dataPlaneId: string, epoch: string, cursor: string): FeedState => ({
  phase: 'stopped',
  memory: {
    dataPlaneId,
    epoch,
    cursor,
    attempt: 0,
    reconnectWithinMs: 0,
    transport: 'stream',
    mute: 0,
    pollsLeft: 0,
    repair: '',
    comparisons: 0,
  },
});
