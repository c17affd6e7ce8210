import type { Frame, Op } from '@felucca/contract';
import { NO_BUCKETS, PROTO } from '@felucca/contract';
import { backoffWindow, type WaitWindow } from './backoff.ts';

/**
 * The feed client as a pure machine: (state, event) → (state, effects). The shell in feed-client.ts
 * performs the effects in order and owns sockets, timers and randomness.
 */

/** What survives a connection. Revisions are decimal strings. */
export interface FeedMemory {
  dataPlaneId: string;
  epoch: string;
  /** Last revision received; it becomes durable when the pipeline has settled it. */
  cursor: string;
  attempt: number;
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
interface ArrivedPage {
  at: string;
  page: number;
}

export type FeedState =
  | { phase: 'stopped'; memory: FeedMemory }
  | { phase: 'waiting'; memory: FeedMemory; why: string; halted: boolean }
  | { phase: 'connecting'; memory: FeedMemory }
  | {
      phase: 'tailing';
      memory: FeedMemory;
      session: string;
      deadlineMs: number;
      /** Of a repair. */
      arrived?: ArrivedPage;
    }
  | {
      phase: 'resetting';
      memory: FeedMemory;
      session: string;
      deadlineMs: number;
      epoch: string;
      arrived?: ArrivedPage;
    };

export type FeedEvent =
  | { type: 'start' }
  | { type: 'stop' }
  | { type: 'retryDue' }
  | { type: 'frame'; frame: Frame }
  /** The connection ended; `why` is a metric label. */
  | { type: 'closed'; why: string }
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

export const STABLE_AFTER_MS = 120_000;
/** Until the hello says the heartbeat. */
export const HELLO_DEADLINE_MS = 15_000;
export const POLLS_BEFORE_STREAM = 60;
/** After so many repairs that did not help everything is sent again. */
const MAX_COMPARISONS = 2;
/** Seconds that the server may hold a long poll, and what we allow it on top. */
export const POLL_WAIT_SECONDS = 25;
const POLL_DEADLINE_MS = POLL_WAIT_SECONDS * 1000 + 15_000;
/** An answer that only a person can change is asked for again slowly. */
const HALTED: WaitWindow = { minMs: 60_000, maxMs: 120_000 };
const SOON: WaitWindow = { minMs: 50, maxMs: 250 };

export const initialFeed = (dataPlaneId: string, epoch: string, cursor: string): FeedState => ({
  phase: 'stopped',
  memory: {
    dataPlaneId,
    epoch,
    cursor,
    attempt: 0,
    transport: 'stream',
    mute: 0,
    pollsLeft: 0,
    repair: '',
    comparisons: 0,
  },
});

export function stepFeed(state: FeedState, event: FeedEvent): FeedStep {
  switch (event.type) {
    case 'start':
      return state.phase === 'stopped' ? connect(state.memory) : stay(state);
    case 'stop':
      return state.phase === 'stopped'
        ? stay(state)
        : { state: { phase: 'stopped', memory: state.memory }, effects: [{ do: 'disconnect' }] };
    case 'retryDue':
      return state.phase === 'waiting' ? connect(state.memory) : stay(state);
    case 'rowsMissing':
      return fromScratch(state);
    default:
      return isConnected(state) ? stepConnected(state, event) : stay(state);
  }
}

type Connected = Extract<FeedState, { phase: 'connecting' | 'tailing' | 'resetting' }>;
type Greeted = Extract<FeedState, { phase: 'tailing' | 'resetting' }>;

const stay = (state: FeedState): FeedStep => ({ state, effects: [] });
const isConnected = (state: FeedState): state is Connected =>
  state.phase === 'connecting' || state.phase === 'tailing' || state.phase === 'resetting';

function connect(memory: FeedMemory): FeedStep {
  const { transport, epoch, cursor, repair } = memory;
  return {
    state: { phase: 'connecting', memory },
    effects: [
      { do: 'connect', transport, epoch, cursor, repair },
      { do: 'watchdog', ms: transport === 'poll' ? POLL_DEADLINE_MS : HELLO_DEADLINE_MS },
    ],
  };
}

/** A first contact makes the server send every row again; the revision guard keeps it free of writes. */
function fromScratch(state: FeedState): FeedStep {
  const memory = { ...state.memory, epoch: '', cursor: '0', repair: '', comparisons: 0 };
  if (!isConnected(state)) return { state: { ...state, memory }, effects: [] };
  return leave(memory, 'rows_missing', 'a row must be fetched again to restore an edited object', SOON);
}

function leave(
  memory: FeedMemory,
  why: string,
  message: string,
  window: WaitWindow,
  halted = false,
): FeedStep {
  return {
    state: { phase: 'waiting', memory, why, halted },
    effects: [{ do: 'disconnect' }, { do: 'lost', why, message, halted }, { do: 'wait', ...window }],
  };
}

function backOff(memory: FeedMemory, why: string, message: string): FeedStep {
  return leave({ ...memory, attempt: memory.attempt + 1 }, why, message, backoffWindow(memory.attempt));
}

type ConnectedEvent = Exclude<
  FeedEvent,
  { type: 'start' } | { type: 'stop' } | { type: 'retryDue' } | { type: 'rowsMissing' }
>;

function stepConnected(state: Connected, event: ConnectedEvent): FeedStep {
  const { memory } = state;
  switch (event.type) {
    case 'stable':
      return { state: { ...state, memory: { ...memory, attempt: 0 } }, effects: [] };
    case 'silent':
      return state.phase === 'connecting'
        ? backOff(afterMute(memory), 'silent', 'no hello within the deadline')
        : backOff(memory, 'silent', `nothing received within ${state.deadlineMs} ms`);
    case 'closed':
      return state.phase === 'tailing' && memory.transport === 'poll' && event.why === 'closed'
        ? nextPoll(memory)
        : backOff(memory, event.why, 'the connection ended');
    case 'refused':
      return refused(memory, event);
    case 'digestDiffers':
      return backOff(memory, 'digest', 'the digest of the applied rows differs from the feed’s');
    case 'digestAgrees':
      return { state: { ...state, memory: { ...memory, comparisons: 0 } }, effects: [] };
    case 'differenceFound':
      return state.phase === 'connecting' ? repairNext(memory, event.repair) : stay(state);
    case 'sessionRefused':
      return backOff(memory, 'session', 'a report was refused: the session is no longer current');
    case 'frame':
      return stepFrame(state, event.frame);
  }
}

/** Two mute streams in a row mean a proxy that buffers; long polls end, so they get through. */
function afterMute(memory: FeedMemory): FeedMemory {
  const mute = memory.mute + 1;
  return mute >= 2 && memory.transport === 'stream'
    ? { ...memory, mute, transport: 'poll', pollsLeft: POLLS_BEFORE_STREAM }
    : { ...memory, mute };
}

function refused(
  memory: FeedMemory,
  event: { status: number; retryAfterMs?: number; message: string },
): FeedStep {
  const { status, retryAfterMs, message } = event;
  const why = `http_${status}`;
  if (status === 403 || status === 404 || status === 409 || status === 410 || status === 426)
    return leave(memory, why, message, HALTED, true);
  if (retryAfterMs === undefined) return backOff(memory, why, message);
  const window = { minMs: retryAfterMs, maxMs: Math.round(retryAfterMs * 1.5) + 500 };
  return leave({ ...memory, attempt: memory.attempt + 1 }, why, message, window);
}

function stepFrame(state: Connected, frame: Frame): FeedStep {
  const { memory } = state;
  switch (frame.type) {
    case 'hello':
      return state.phase === 'connecting'
        ? hello(state, frame)
        : backOff(memory, 'protocol', 'a second hello arrived');
    case 'drain':
      return leave(memory, `drain_${frame.reason}`, 'the server asked us to reconnect', {
        minMs: frame.retryMinMs,
        maxMs: Math.max(frame.retryMinMs, frame.retryMaxMs),
      });
    case 'error':
      return frame.retryable
        ? backOff(memory, frame.code.toLowerCase(), frame.message)
        : leave(memory, frame.code.toLowerCase(), frame.message, HALTED, true);
    default:
      return state.phase === 'connecting'
        ? backOff(memory, 'protocol', `${frame.type} arrived before hello`)
        : stepData(state, frame);
  }
}

function hello(
  state: Extract<FeedState, { phase: 'connecting' }>,
  frame: Extract<Frame, { type: 'hello' }>,
): FeedStep {
  const { memory } = state;
  if (frame.dataPlaneId !== memory.dataPlaneId)
    return leave(memory, 'wrong_data_plane', `the server speaks for ${frame.dataPlaneId}`, HALTED, true);
  if (frame.proto !== PROTO)
    return leave(memory, 'protocol', `the server speaks protocol ${frame.proto}`, HALTED, true);
  if (frame.mode === 'verify') return verify(state, frame);
  const heartbeatMs = Math.max(1, frame.heartbeatSeconds) * 1000;
  const deadlineMs =
    memory.transport === 'poll' ? Math.max(POLL_DEADLINE_MS, heartbeatMs * 2.5) : heartbeatMs * 2.5;
  const { session, epoch, head } = frame;
  const greet: FeedEffect = { do: 'greet', session, epoch, head, heartbeatMs };
  const timers: FeedEffect[] = [
    { do: 'watchdog', ms: deadlineMs },
    { do: 'stableIn', ms: STABLE_AFTER_MS },
  ];
  // A server that does not know of repairs says nothing of one.
  const heard = { ...memory, mute: 0, repair: frame.repair ?? '' };
  if (frame.mode === 'reset') {
    const reset = frame.reason ?? 'NEW';
    return {
      state: { phase: 'resetting', memory: { ...heard, repair: '' }, session, deadlineMs, epoch },
      effects: [{ ...greet, reset }, ...timers],
    };
  }
  // Another epoch with an equal digest: the same rows under a new counter, nothing is sent again.
  const adopted = epoch === memory.epoch ? heard : { ...heard, epoch, cursor: head };
  const adopt: FeedEffect[] = epoch === memory.epoch ? [] : [{ do: 'adopt', epoch, cursor: head }];
  return {
    state: { phase: 'tailing', memory: adopted, session, deadlineMs },
    effects: [greet, ...adopt, ...timers],
  };
}

/** The rows differ although nothing is missing. The server has said how each bucket should be, and ends the connection. */
function verify(
  state: Extract<FeedState, { phase: 'connecting' }>,
  { epoch, head, buckets }: Extract<Frame, { type: 'hello' }>,
): FeedStep {
  const { memory } = state;
  if (memory.comparisons >= MAX_COMPARISONS) {
    const message = `rows still differ after ${MAX_COMPARISONS} repairs; all of them are sent again`;
    return backOff({ ...memory, epoch: '', cursor: '0', comparisons: 0 }, 'diverged', message);
  }
  // Something was written meanwhile.
  if (!buckets || epoch !== memory.epoch || head !== memory.cursor)
    return backOff(memory, 'diverged', 'the head moved on while rows were compared');
  return { state, effects: [{ do: 'findDifference', buckets }] };
}

function repairNext(memory: FeedMemory, buckets: string): FeedStep {
  const comparisons = memory.comparisons + 1;
  const repair = buckets === NO_BUCKETS ? '' : buckets;
  return backOff({ ...memory, repair, comparisons }, 'diverged', 'rows differ from those of the feed');
}

/** A long poll ended as it should. */
function nextPoll(memory: FeedMemory): FeedStep {
  const over = memory.pollsLeft <= 1;
  const next: FeedMemory = { ...memory, pollsLeft: over ? 0 : memory.pollsLeft - 1 };
  if (over) next.transport = 'stream';
  const state: FeedState = { phase: 'waiting', memory: next, why: 'poll', halted: false };
  return { state, effects: [{ do: 'wait', ...SOON }] };
}

type DataFrame = Extract<Frame, { type: 'delta' | 'snapshot' | 'bookmark' }>;

function stepData(state: Greeted, frame: DataFrame): FeedStep {
  const watchdog: FeedEffect = { do: 'watchdog', ms: state.deadlineMs };
  if (state.phase === 'resetting') {
    if (frame.type === 'snapshot') return snapshotPage(state, frame, watchdog);
    if (frame.type === 'bookmark') return { state, effects: [watchdog] };
    return backOff(state.memory, 'protocol', 'a delta arrived before the snapshot was complete');
  }
  const { memory } = state;
  if (frame.type === 'snapshot')
    return frame.repair !== undefined && frame.repair === memory.repair
      ? snapshotPage(state, frame, watchdog)
      : backOff(memory, 'protocol', 'a snapshot arrived that was not asked for');
  if (frame.type === 'bookmark') {
    const { cursor, digest, count } = frame;
    if (BigInt(cursor) > BigInt(memory.cursor))
      return backOff(memory, 'gap', `a bookmark names ${cursor}, received up to ${memory.cursor}`);
    const same = cursor === memory.cursor && memory.repair === '';
    return { state, effects: same ? [watchdog, { do: 'compare', cursor, digest, count }] : [watchdog] };
  }
  if (BigInt(frame.to) <= BigInt(memory.cursor)) return { state, effects: [watchdog] };
  if (frame.from !== memory.cursor)
    return backOff(memory, 'gap', `a delta starts at ${frame.from}, received up to ${memory.cursor}`);
  return {
    state: { ...state, memory: { ...memory, cursor: frame.to } },
    effects: [watchdog, { do: 'rows', epoch: memory.epoch, to: frame.to, ops: frame.ops }],
  };
}

/**
 * Of everything after a reset, and then the cursor moves with the last page; or of some buckets beside the tail, where
 * rows are compared with what is known and the cursor stays where it is.
 */
function snapshotPage(
  state: Greeted,
  { at, page, last, ops }: Extract<Frame, { type: 'snapshot' }>,
  watchdog: FeedEffect,
): FeedStep {
  const { memory, arrived } = state;
  if (arrived && (at !== arrived.at || page !== arrived.page + 1))
    return backOff(memory, 'protocol', `snapshot page ${page} at ${at} is out of order`);
  const isReset = state.phase === 'resetting';
  const epoch = isReset ? state.epoch : memory.epoch;
  const effects: FeedEffect[] = [watchdog];
  if (!arrived) effects.push({ do: 'snapshotBegins', epoch, ...(isReset ? {} : { repair: memory.repair }) });
  effects.push({ do: 'snapshotRows', epoch, ops });
  if (!last) return { state: { ...state, arrived: { at, page } }, effects };
  effects.push({ do: 'snapshotEnds', epoch, at });
  const { session, deadlineMs } = state;
  const done = isReset ? { ...memory, epoch, cursor: at } : { ...memory, repair: '' };
  return { state: { phase: 'tailing', memory: done, session, deadlineMs }, effects };
}
