import { NO_BUCKETS, PROTO } from '@felucca/contract';
import { BACKOFF_CAP_MS, backoffWindow, type WaitWindow } from './backoff.ts';
import type { ArrivedPage, FeedEffect, FeedEvent, FeedMemory, FeedState, FeedStep } from './feed-state.ts';

export type StateOf<P extends FeedState['phase']> = Extract<FeedState, { phase: P }>;
export type EventOf<T extends FeedEvent['type']> = Extract<FeedEvent, { type: T }>;
type Connected = StateOf<'connecting' | 'tailing' | 'repairing' | 'resetting'>;
type Greeted = StateOf<'tailing' | 'repairing' | 'resetting'>;

export const STABLE_AFTER_MS = 120_000;
/** Until the hello says the heartbeat. */
export const HELLO_DEADLINE_MS = 15_000;
export const POLLS_BEFORE_STREAM = 60;
/** After so many repairs that did not help everything is sent again, and when that does not help either there is a new epoch. */
const MAX_REPAIRS = 2;
/** No counter comes this far: whoever says so has another history than the server, which then begins a new epoch. */
const FROM_ANOTHER_HISTORY = '9223372036854775807';
/** Seconds that the server may hold a long poll, and what we allow it on top. */
export const POLL_WAIT_SECONDS = 25;
const POLL_DEADLINE_MS = POLL_WAIT_SECONDS * 1000 + 15_000;
/** An answer that only a person can change is asked for again slowly. */
const HALTED: WaitWindow = { minMs: 60_000, maxMs: 120_000 };
const SOON: WaitWindow = { minMs: 50, maxMs: 250 };

export const ignore = (state: FeedState): FeedStep => ({ state, effects: [] });

export function connect({ memory }: FeedState): FeedStep {
  const { transport, epoch, cursor, repair } = memory;
  return {
    state: { phase: 'connecting', memory },
    effects: [
      { do: 'connect', transport, epoch, cursor, repair },
      { do: 'watchdog', ms: transport === 'poll' ? POLL_DEADLINE_MS : HELLO_DEADLINE_MS },
    ],
  };
}

export const stop = ({ memory }: FeedState): FeedStep => ({
  state: { phase: 'stopped', memory },
  effects: [{ do: 'disconnect' }],
});

/** The way out of every connection. */
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

function backOff(memory: FeedMemory, why: string, message: string, widthMs = 0): FeedStep {
  const { minMs, maxMs } = backoffWindow(memory.attempt);
  const window = { minMs, maxMs: Math.max(maxMs, widthMs) };
  return leave({ ...memory, attempt: memory.attempt + 1 }, why, message, window);
}

/** Others may have lost theirs in the same moment: all of them together must not be more than the server can take. */
const lose = (memory: FeedMemory, why: string, message: string): FeedStep =>
  backOff(memory, why, message, memory.reconnectWithinMs);

const outOfPlace =
  (message: string) =>
  ({ memory }: Connected): FeedStep =>
    backOff(memory, 'protocol', message);
export const beforeHello = (state: Connected, { type }: FeedEvent): FeedStep =>
  outOfPlace(`${type} arrived before hello`)(state);
export const secondHello = outOfPlace('a second hello arrived');
export const deltaInSnapshot = outOfPlace('a delta arrived before the snapshot was complete');
export const unaskedPage = outOfPlace('a snapshot arrived that was not asked for');

/** A first contact makes the server send every row again; the revision guard keeps it free of writes. */
const fromScratch = (memory: FeedMemory): FeedMemory => ({
  ...memory,
  epoch: '',
  cursor: '0',
  repair: '',
  comparisons: 0,
});
export const rowsMissing = ({ memory }: Connected): FeedStep =>
  leave(fromScratch(memory), 'rows_missing', 'a row must be fetched again to restore an edited object', SOON);
export const rowsMissingLater = (state: StateOf<'stopped' | 'waiting'>): FeedStep => ({
  state: { ...state, memory: fromScratch(state.memory) },
  effects: [],
});

export const stable = (state: Connected): FeedStep => ({
  state: { ...state, memory: { ...state.memory, attempt: 0 } },
  effects: [],
});
export const digestAgrees = (state: Connected): FeedStep => ({
  state: { ...state, memory: { ...state.memory, comparisons: 0 } },
  effects: [],
});
export const digestDiffers = ({ memory }: Connected): FeedStep =>
  backOff(memory, 'digest', 'the digest of the applied rows differs from the feed’s');
export const sessionRefused = ({ memory }: Connected): FeedStep =>
  backOff(memory, 'session', 'a report was refused: the session is no longer current');

export const closed = (
  { memory }: Connected,
  { why, message = 'the connection ended' }: EventOf<'closed'>,
): FeedStep => lose(memory, why, message);

/** A long poll that ends is as it should be, once it has said hello. */
export function closedInTail(state: StateOf<'tailing'>, event: EventOf<'closed'>): FeedStep {
  const { memory } = state;
  if (memory.transport !== 'poll' || event.why !== 'closed') return closed(state, event);
  const over = memory.pollsLeft <= 1;
  const next: FeedMemory = { ...memory, pollsLeft: over ? 0 : memory.pollsLeft - 1 };
  if (over) next.transport = 'stream';
  return {
    state: { phase: 'waiting', memory: next, why: 'poll', halted: false },
    effects: [{ do: 'wait', ...SOON }],
  };
}

export const silent = ({ memory, deadlineMs }: Greeted): FeedStep =>
  lose(memory, 'silent', `nothing received within ${deadlineMs} ms`);

/** Two mute streams in a row mean a proxy that buffers; long polls end, so they get through. */
export function silentBeforeHello({ memory }: StateOf<'connecting'>): FeedStep {
  const mute = memory.mute + 1;
  const next: FeedMemory =
    mute >= 2 && memory.transport === 'stream'
      ? { ...memory, mute, transport: 'poll', pollsLeft: POLLS_BEFORE_STREAM }
      : { ...memory, mute };
  return lose(next, 'silent', 'no hello within the deadline');
}

export function refused({ memory }: Connected, event: EventOf<'refused'>): FeedStep {
  const { status, retryAfterMs, message } = event;
  const why = `http_${status}`;
  if ([403, 404, 409, 410, 426].includes(status)) return leave(memory, why, message, HALTED, true);
  if (retryAfterMs === undefined) return backOff(memory, why, message);
  const window = { minMs: retryAfterMs, maxMs: Math.round(retryAfterMs * 1.5) + 500 };
  return leave({ ...memory, attempt: memory.attempt + 1 }, why, message, window);
}

export const drain = ({ memory }: Connected, frame: EventOf<'drain'>): FeedStep =>
  leave(memory, `drain_${frame.reason}`, 'the server asked us to reconnect', {
    minMs: frame.retryMinMs,
    maxMs: Math.max(frame.retryMinMs, frame.retryMaxMs),
  });

export const error = ({ memory }: Connected, { code, message, retryable }: EventOf<'error'>): FeedStep =>
  retryable
    ? backOff(memory, code.toLowerCase(), message)
    : leave(memory, code.toLowerCase(), message, HALTED, true);

export function hello(state: StateOf<'connecting'>, frame: EventOf<'hello'>): FeedStep {
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
    state: {
      phase: adopted.repair === '' ? 'tailing' : 'repairing',
      memory: adopted,
      session,
      deadlineMs,
    },
    effects: [greet, ...adopt, ...timers],
  };
}

/** The rows differ although nothing is missing. The server has said how each bucket should be, and ends the connection. */
function verify(state: StateOf<'connecting'>, { epoch, head, buckets }: EventOf<'hello'>): FeedStep {
  const { memory } = state;
  if (memory.comparisons === MAX_REPAIRS) {
    const message = `rows still differ after ${MAX_REPAIRS} repairs; all of them are sent again`;
    return backOff({ ...fromScratch(memory), comparisons: MAX_REPAIRS + 1 }, 'diverged', message);
  }
  if (memory.comparisons > MAX_REPAIRS) {
    const message =
      'rows differ although all of them were sent again: their revisions are of another history';
    return backOff(
      { ...memory, cursor: FROM_ANOTHER_HISTORY, repair: '', comparisons: 0 },
      'diverged',
      message,
    );
  }
  // Something was written meanwhile.
  if (!buckets || epoch !== memory.epoch || head !== memory.cursor)
    return backOff(memory, 'diverged', 'the head moved on while rows were compared');
  return { state, effects: [{ do: 'findDifference', buckets }] };
}

export function differenceFound(
  { memory }: StateOf<'connecting'>,
  { repair: buckets }: EventOf<'differenceFound'>,
): FeedStep {
  const comparisons = memory.comparisons + 1;
  const repair = buckets === NO_BUCKETS ? '' : buckets;
  return backOff({ ...memory, repair, comparisons }, 'diverged', 'rows differ from those of the feed');
}

/** Every frame of data is a sign of life. */
const alive = ({ deadlineMs }: Greeted): FeedEffect => ({ do: 'watchdog', ms: deadlineMs });

export function delta(state: StateOf<'tailing' | 'repairing'>, frame: EventOf<'delta'>): FeedStep {
  const { memory } = state;
  if (BigInt(frame.to) <= BigInt(memory.cursor)) return { state, effects: [alive(state)] };
  if (frame.from !== memory.cursor)
    return backOff(memory, 'gap', `a delta starts at ${frame.from}, received up to ${memory.cursor}`);
  return {
    state: { ...state, memory: { ...memory, cursor: frame.to } },
    effects: [alive(state), { do: 'rows', epoch: memory.epoch, to: frame.to, ops: frame.ops }],
  };
}

export function heartbeat(state: Greeted, frame: EventOf<'bookmark'>): FeedStep {
  const { reconnectWithinMs = state.memory.reconnectWithinMs } = frame;
  const memory = { ...state.memory, reconnectWithinMs: Math.min(reconnectWithinMs, BACKOFF_CAP_MS) };
  return { state: { ...state, memory }, effects: [alive(state)] };
}

export function bookmarkInRepair(state: StateOf<'repairing'>, frame: EventOf<'bookmark'>): FeedStep {
  return aheadOfUs(state.memory, frame) ?? heartbeat(state, frame);
}

export function bookmark(state: StateOf<'tailing'>, frame: EventOf<'bookmark'>): FeedStep {
  const { cursor, digest, count } = frame;
  const heard = heartbeat(state, frame);
  if (cursor !== state.memory.cursor) return aheadOfUs(state.memory, frame) ?? heard;
  return { ...heard, effects: [...heard.effects, { do: 'compare', cursor, digest, count }] };
}

const aheadOfUs = (memory: FeedMemory, { cursor }: EventOf<'bookmark'>): FeedStep | undefined =>
  BigInt(cursor) > BigInt(memory.cursor)
    ? backOff(memory, 'gap', `a bookmark names ${cursor}, received up to ${memory.cursor}`)
    : undefined;

/** Of everything after a reset: the cursor moves with the last page. */
export function snapshotPage(state: StateOf<'resetting'>, frame: EventOf<'snapshot'>): FeedStep {
  const { memory, epoch, session, deadlineMs } = state;
  const { at, page, last } = frame;
  if (!follows(frame, state.arrived)) return backOff(memory, 'protocol', wrongPage(frame));
  const effects = pageEffects(state, frame, { do: 'snapshotBegins', epoch });
  if (!last) return { state: { ...state, arrived: { at, page } }, effects };
  const done = { ...memory, epoch, cursor: at };
  return { state: { phase: 'tailing', memory: done, session, deadlineMs }, effects };
}

/** Of some buckets beside the tail: rows are compared with what is known, and the cursor stays where it is. */
export function repairPage(state: StateOf<'repairing'>, frame: EventOf<'snapshot'>): FeedStep {
  const { memory, session, deadlineMs } = state;
  const { at, page, last } = frame;
  if (frame.repair !== memory.repair) return unaskedPage(state);
  if (!follows(frame, state.arrived)) return backOff(memory, 'protocol', wrongPage(frame));
  const { epoch, repair } = memory;
  const effects = pageEffects(state, frame, { do: 'snapshotBegins', epoch, repair });
  if (!last) return { state: { ...state, arrived: { at, page } }, effects };
  return { state: { phase: 'tailing', memory: { ...memory, repair: '' }, session, deadlineMs }, effects };
}

const follows = ({ at, page }: EventOf<'snapshot'>, arrived: ArrivedPage | undefined): boolean =>
  !arrived || (at === arrived.at && page === arrived.page + 1);
const wrongPage = ({ at, page }: EventOf<'snapshot'>): string =>
  `snapshot page ${page} at ${at} is out of order`;

function pageEffects(
  state: StateOf<'repairing' | 'resetting'>,
  { at, last, ops }: EventOf<'snapshot'>,
  begins: Extract<FeedEffect, { do: 'snapshotBegins' }>,
): FeedEffect[] {
  const { epoch } = begins;
  return [
    alive(state),
    ...(state.arrived ? [] : [begins]),
    { do: 'snapshotRows', epoch, ops },
    ...(last ? [{ do: 'snapshotEnds', epoch, at } as const] : []),
  ];
}
