import type { FeedEvent, FeedState, FeedStep } from './feed-state.ts';
import {
  beforeHello,
  bookmark,
  bookmarkInRepair,
  closed,
  closedInTail,
  connect,
  delta,
  deltaInSnapshot,
  differenceFound,
  digestAgrees,
  digestDiffers,
  drain,
  type EventOf,
  error,
  heartbeat,
  hello,
  ignore,
  refused,
  repairPage,
  rowsMissing,
  rowsMissingLater,
  type StateOf,
  secondHello,
  sessionRefused,
  silent,
  silentBeforeHello,
  snapshotPage,
  stable,
  stop,
  unaskedPage,
} from './feed-steps.ts';

type Phase = FeedState['phase'];
type Transitions = {
  [P in Phase]: { [T in FeedEvent['type']]: (state: StateOf<P>, event: EventOf<T>) => FeedStep };
};

/** What comes of a connection that is over. */
const LATE = {
  hello: ignore,
  delta: ignore,
  snapshot: ignore,
  bookmark: ignore,
  drain: ignore,
  error: ignore,
  closed: ignore,
  silent: ignore,
  refused: ignore,
  stable: ignore,
  digestDiffers: ignore,
  digestAgrees: ignore,
  differenceFound: ignore,
  sessionRefused: ignore,
};
/** The same in every connection. */
const CONNECTED = {
  start: ignore,
  stop,
  retryDue: ignore,
  drain,
  error,
  refused,
  stable,
  digestDiffers,
  digestAgrees,
  rowsMissing,
  sessionRefused,
};

/** What each event does in each phase; a hole does not compile. contract/SPEC.md shows it as a table. */
export const FEED_TRANSITIONS: Transitions = {
  stopped: { ...LATE, start: connect, stop: ignore, retryDue: ignore, rowsMissing: rowsMissingLater },
  waiting: { ...LATE, start: ignore, stop, retryDue: connect, rowsMissing: rowsMissingLater },
  connecting: {
    ...CONNECTED,
    hello,
    delta: beforeHello,
    snapshot: beforeHello,
    bookmark: beforeHello,
    closed,
    silent: silentBeforeHello,
    differenceFound,
  },
  tailing: {
    ...CONNECTED,
    hello: secondHello,
    delta,
    snapshot: unaskedPage,
    bookmark,
    closed: closedInTail,
    silent,
    differenceFound: ignore,
  },
  repairing: {
    ...CONNECTED,
    hello: secondHello,
    delta,
    snapshot: repairPage,
    bookmark: bookmarkInRepair,
    closed,
    silent,
    differenceFound: ignore,
  },
  resetting: {
    ...CONNECTED,
    hello: secondHello,
    delta: deltaInSnapshot,
    snapshot: snapshotPage,
    bookmark: heartbeat,
    closed,
    silent,
    differenceFound: ignore,
  },
};

export function stepFeed(state: FeedState, event: FeedEvent): FeedStep {
  const step = FEED_TRANSITIONS[state.phase][event.type] as (state: FeedState, event: FeedEvent) => FeedStep;
  return step(state, event);
}
