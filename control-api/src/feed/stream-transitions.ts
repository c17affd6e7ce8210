import type { StreamEvent, StreamPhase, StreamState, StreamStep, StreamTerms } from './stream-state.ts';
import {
  attached,
  closed,
  delta,
  type EventOf,
  full,
  head,
  ignore,
  repairPage,
  revoked,
  room,
  shutdown,
  snapshotPage,
  superseded,
  tick,
  tickInSnapshot,
  unreadable,
} from './stream-steps.ts';

type Step<T extends StreamEvent['type']> = (
  state: StreamState,
  event: EventOf<T>,
  terms: StreamTerms,
) => StreamStep;
type Row = { [T in StreamEvent['type']]: Step<T> };

/** The same wherever the stream is, as long as it is open. */
const OPEN = { head, revoked, superseded, full, room, shutdown, socketClosed: closed };

/** What each event does in each phase; a hole does not compile. contract/SPEC.md shows it as a table. */
export const STREAM_TRANSITIONS: Record<StreamPhase, Row> = {
  snapshot: {
    ...OPEN,
    attached: ignore,
    delta: ignore,
    page: snapshotPage,
    unreadable,
    tick: tickInSnapshot,
  },
  repair: { ...OPEN, attached, delta, page: repairPage, unreadable, tick },
  tail: { ...OPEN, attached, delta, page: ignore, unreadable: ignore, tick },
  closed: {
    attached: ignore,
    delta: ignore,
    page: ignore,
    head: ignore,
    revoked: ignore,
    superseded: ignore,
    unreadable: ignore,
    full: ignore,
    room: ignore,
    tick: ignore,
    shutdown: ignore,
    socketClosed: ignore,
  },
};

export function stepStream(state: StreamState, event: StreamEvent, terms: StreamTerms): StreamStep {
  const step = STREAM_TRANSITIONS[state.phase][event.type] as Step<StreamEvent['type']>;
  return step(state, event, terms);
}
