import { deltaLine, frameLine, snapshotLine } from './frames.ts';
import type { Head } from './rows.ts';
import {
  type DrainReason,
  isCaughtUp,
  type StreamEffect,
  type StreamEvent,
  type StreamState,
  type StreamStep,
  type StreamTerms,
} from './stream-state.ts';

export type EventOf<T extends StreamEvent['type']> = Extract<StreamEvent, { type: T }>;

/** A long poll whose last read fails ends without a bookmark. */
const POLL_GRACE_MS = 10_000;
const NOTHING: readonly StreamEffect[] = [];

export const ignore = (state: StreamState): StreamStep => ({ state, effects: NOTHING });

/** The way out of every open phase. */
const over = (state: StreamState, end: Omit<Extract<StreamEffect, { do: 'end' }>, 'do'>): StreamStep => ({
  state: { ...state, phase: 'closed' },
  effects: [{ do: 'end', ...end }],
});

export const closed = (state: StreamState): StreamStep => ({
  state: { ...state, phase: 'closed' },
  effects: NOTHING,
});

const drain = (state: StreamState, reason: DrainReason, retryMinMs: number, retryMaxMs: number): StreamStep =>
  over(state, { line: frameLine({ type: 'drain', reason, retryMinMs, retryMaxMs }), drained: reason });

export const shutdown = (state: StreamState, { windowMs }: EventOf<'shutdown'>): StreamStep =>
  drain(state, 'shutdown', 0, windowMs);

const fail =
  (code: 'SUPERSEDED' | 'REVOKED' | 'INTERNAL', message: string) =>
  (state: StreamState): StreamStep =>
    over(state, { line: frameLine({ type: 'error', code, message, retryable: code === 'INTERNAL' }) });

export const superseded = fail(
  'SUPERSEDED',
  'another operator with this key or a newer one took this data plane over; stop the one that should not be here. If this is ' +
    'the only one, somebody has its key: let it join again with a new token, and revoke all other keys',
);
export const revoked = fail(
  'REVOKED',
  'the key of this operator was revoked or its data plane deleted; create a join token and join again',
);
export const unreadable = fail('INTERNAL', 'the snapshot could not be read from the database; connect again');

export const full = (state: StreamState, { nowMs }: EventOf<'full'>): StreamStep => ({
  state: { ...state, blockedSinceMs: state.blockedSinceMs ?? nowMs },
  effects: NOTHING,
});

export const room = (state: StreamState): StreamStep => ({
  state: { ...state, blockedSinceMs: undefined },
  effects: [{ do: 'read' }],
});

/** Why a stream must not go on under this counter row; undefined while it may. */
function endUnder(head: Head, state: StreamState, terms: StreamTerms): StreamStep | undefined {
  if (head.session !== terms.session) return superseded(state);
  // A head below the cursor: the database went back in time under a running API, and revisions come a second time.
  if (head.epoch !== terms.epoch || head.head < state.cursor) return drain(state, 'rotate', 0, 1_000);
  return undefined;
}

/** At the same head there may be other rows, when the database was put back and written again: the heartbeat tells. */
export const head = (state: StreamState, event: EventOf<'head'>, terms: StreamTerms): StreamStep =>
  endUnder(event.head, state, terms) ??
  (event.head.head > state.cursor
    ? { state, effects: [{ do: 'read' }] }
    : ignore({ ...state, known: event.head }));

export function delta(state: StreamState, event: EventOf<'delta'>, terms: StreamTerms): StreamStep {
  const { nowMs, readMs } = event;
  const { head: known, rows, more } = event.page;
  const end = endUnder(known, state, terms);
  if (end) return end;
  const { cursor: from } = state;
  // Tombstones between its cursor and `compacted` are gone: only a new hello finds out what it missed.
  if (from < known.compacted) return drain(state, 'slow', 0, 1_000);
  const to = more ? BigInt(rows.at(-1)!.rev) : known.head;
  if (to === from) return answer({ ...state, known }, nowMs, terms);
  const line = deltaLine({ from, to, complete: !more, rows });
  const sent = withRows({ ...state, known, cursor: to }, nowMs);
  const effects: StreamEffect[] = [
    { do: 'write', line },
    { do: 'sent', frame: 'delta', rows, readMs },
  ];
  return then(effects, more ? { state: sent, effects: [{ do: 'read' }] } : answer(sent, nowMs, terms));
}

/** The cursor moves with the last page: whoever is cut off before begins again. */
export const snapshotPage = (state: StreamState, event: EventOf<'page'>): StreamStep =>
  then(pageEffects(state, event, undefined), {
    state: event.last
      ? { ...withRows(state, event.nowMs), phase: 'tail', cursor: event.at }
      : { ...withRows(state, event.nowMs), pages: state.pages + 1 },
    effects: event.last ? [{ do: 'read' }] : NOTHING,
  });

export function repairPage(state: StreamState, event: EventOf<'page'>, terms: StreamTerms): StreamStep {
  const effects = pageEffects(state, event, terms.repair);
  const sent = { ...withRows(state, event.nowMs), pages: state.pages + 1 };
  return then(
    effects,
    event.last ? answer({ ...sent, phase: 'tail' }, event.nowMs, terms) : { state: sent, effects: NOTHING },
  );
}

const pageEffects = (
  { pages }: StreamState,
  { at, rows, last }: EventOf<'page'>,
  repair: string | undefined,
): StreamEffect[] => [
  { do: 'write', line: snapshotLine({ at, page: pages + 1, last, repair, rows }) },
  { do: 'sent', frame: 'snapshot', rows },
];

/** A stream learns the digest when it first catches up; later the tick tells it, so that a burst shares one comparison. */
export const attached = (
  state: StreamState,
  { nowMs }: EventOf<'attached'>,
  terms: StreamTerms,
): StreamStep => (terms.transport === 'stream' ? answer(state, nowMs, terms) : ignore(state));

/** A poll that has rows, or has waited long enough, has its answer. */
function answer(state: StreamState, nowMs: number, terms: StreamTerms): StreamStep {
  if (!isCaughtUp(state) || state.phase === 'repair') return ignore(state);
  if (terms.transport === 'stream') return state.bookmarked ? ignore(state) : bookmark(state, nowMs);
  if (!state.sentRows && nowMs < terms.endsAtMs) return ignore(state);
  const { effects, state: told } = bookmark(state, nowMs);
  return then(effects, over(told, {}));
}

export function tick(
  state: StreamState,
  { nowMs, reconnectWithinMs }: EventOf<'tick'>,
  terms: StreamTerms,
): StreamStep {
  const slow = tooSlow(state, nowMs, terms);
  if (slow) return slow;
  if (state.blockedSinceMs !== undefined) return ignore(state);
  const isStream = terms.transport === 'stream';
  if (nowMs >= terms.endsAtMs) {
    if (isStream) return drain(state, 'rotate', 0, 2_000);
    return nowMs >= terms.endsAtMs + POLL_GRACE_MS ? over(state, {}) : { state, effects: [{ do: 'read' }] };
  }
  const quiet = isQuiet(state, nowMs, terms);
  if (isCaughtUp(state))
    return quiet || (isStream && state.owesBookmark)
      ? bookmark(state, nowMs, { reconnectWithinMs })
      : ignore(state);
  return quiet ? keepAlive(state, nowMs) : ignore(state);
}

export function tickInSnapshot(
  state: StreamState,
  { nowMs }: EventOf<'tick'>,
  terms: StreamTerms,
): StreamStep {
  const slow = tooSlow(state, nowMs, terms);
  if (slow) return slow;
  if (state.blockedSinceMs !== undefined || !isQuiet(state, nowMs, terms)) return ignore(state);
  // Of no position: the operator has none before the last page.
  const line = frameLine({ type: 'bookmark', cursor: '0', digest: state.known.digest, count: 0 });
  return { state: { ...state, lastWriteMs: nowMs }, effects: [{ do: 'write', line }] };
}

const tooSlow = (state: StreamState, nowMs: number, { slowMs }: StreamTerms): StreamStep | undefined =>
  state.blockedSinceMs !== undefined && nowMs - state.blockedSinceMs >= slowMs
    ? drain(state, 'slow', 1_000, 5_000)
    : undefined;

const isQuiet = (state: StreamState, nowMs: number, { heartbeatMs, tickMs }: StreamTerms): boolean =>
  nowMs - state.lastWriteMs >= heartbeatMs - tickMs;

/** Cursor and digest belong together only at the head; elsewhere a bookmark would say something false. */
function bookmark(
  state: StreamState,
  nowMs: number,
  advice: { reconnectWithinMs?: number } = {},
): StreamStep {
  const { cursor, known } = state;
  const line = frameLine({
    type: 'bookmark',
    cursor: String(cursor),
    digest: known.digest,
    count: known.count,
    ...advice,
  });
  return {
    state: { ...state, owesBookmark: false, bookmarked: true, lastWriteMs: nowMs },
    effects: [{ do: 'write', line }],
  };
}

/** Bytes for the operator's watchdog while rows wait for the database: a delta of nothing. */
function keepAlive(state: StreamState, nowMs: number): StreamStep {
  const { cursor } = state;
  const line = deltaLine({ from: cursor, to: cursor, complete: false, rows: [] });
  return { state: { ...state, lastWriteMs: nowMs }, effects: [{ do: 'write', line }] };
}

const withRows = (state: StreamState, nowMs: number): StreamState => ({
  ...state,
  sentRows: true,
  owesBookmark: true,
  lastWriteMs: nowMs,
});

const then = (effects: readonly StreamEffect[], { state, effects: more }: StreamStep): StreamStep => ({
  state,
  effects: [...effects, ...more],
});
