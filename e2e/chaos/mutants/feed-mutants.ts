import { type Mutant, real, unit } from './mutant.ts';

const FEED = 'control-api/src/feed';
const STEPS = `${FEED}/stream-steps.ts`;
const STREAM_TEST = `${FEED}/stream-transitions.test.ts`;
const RESUME = `${FEED}/resume.ts`;
const RESUME_TEST = `${FEED}/resume.test.ts`;
const FEED_TEST = 'control-api/test/feed.test.ts';

/** Mistakes in what the control plane tells an operator, and in what it believes of one. L: contract/SPEC.md. */
export const FEED_MUTANTS: readonly Mutant[] = [
  {
    name: 'cursor-beyond-the-page',
    file: STEPS,
    find: 'const to = more ? BigInt(rows.at(-1)!.rev) : known.head;',
    replace: 'const to = known.head;',
    breaks: 'what did not fit into a page comes with the next (L2)',
    caughtBy: unit(STREAM_TEST),
  },
  {
    name: 'bookmark-on-the-way',
    file: STEPS,
    find: '  if (isCaughtUp(state))\n    return quiet',
    replace: '  if (terms.epoch)\n    return quiet',
    breaks: 'cursor and digest of a bookmark belong together (L2)',
    caughtBy: unit(STREAM_TEST),
  },
  {
    name: 'goes-on-after-its-end',
    file: STEPS,
    find: "  state: { ...state, phase: 'closed' },\n  effects: [{ do: 'end', ...end }],",
    replace: "  state: { ...state, cursor: state.cursor },\n  effects: [{ do: 'end', ...end }],",
    breaks: 'a stream ends once, and nothing comes after it (L19)',
    caughtBy: unit(STREAM_TEST),
  },
  {
    name: 'snapshot-without-its-revision',
    file: STEPS,
    find: "phase: 'tail', cursor: event.at }",
    replace: "phase: 'tail', cursor: state.known.head + 1n }",
    breaks: 'what is written during a snapshot comes with the tail (L4)',
    caughtBy: unit(STREAM_TEST),
  },
  {
    name: 'silent-while-behind',
    file: STEPS,
    find: 'return quiet ? keepAlive(state, nowMs) : ignore(state);',
    replace: 'return ignore(state);',
    breaks: 'a connection that works is never silent (L32)',
    caughtBy: unit(STREAM_TEST),
  },
  {
    name: 'other-history-goes-unnoticed',
    file: STEPS,
    find: 'if (head.epoch !== terms.epoch || head.head < state.cursor)',
    replace: 'if (head.epoch !== terms.epoch)',
    breaks: 'revisions that come a second time are not taken for the first (L10)',
    caughtBy: real(FEED_TEST, 'a database that goes back while a stream is open'),
  },
  {
    name: 'another-session-goes-on',
    file: STEPS,
    find: 'if (head.session !== terms.session) return superseded(state);\n  ',
    replace: '',
    breaks: 'one session holds a data plane (L19)',
    caughtBy: real(FEED_TEST, 'a session on another API process is superseded too'),
  },
  {
    name: 'claims-for-whoever-is-gone',
    file: `${FEED}/sessions.ts`,
    find: 'if (entry.request.isOver()) entry.resolve(undefined);\n        else if',
    replace: 'if',
    breaks: 'a hello that its operator gave up ends no stream (L19)',
    caughtBy: real(FEED_TEST, 'a hello whose operator has given up'),
  },
  {
    name: 'epoch-is-not-compared',
    file: RESUME,
    find: 'if (operator.epoch !== head.epoch)',
    replace: "if (operator.epoch === '-')",
    breaks: 'a revision means nothing outside of its epoch (L10)',
    caughtBy: unit(RESUME_TEST),
  },
  {
    name: 'future-cursor-accepted',
    file: RESUME,
    find: "if (operator.cursor > head.head) return reset('CURSOR_AHEAD', true);\n  ",
    replace: '',
    breaks: 'a database that went back in time is noticed (L10)',
    caughtBy: unit(RESUME_TEST),
  },
  {
    name: 'compaction-forgotten',
    file: RESUME,
    find: "if (operator.cursor < head.compacted) return reset('COMPACTED');\n  ",
    replace: '',
    breaks: 'whoever may still hold an object is told of its tombstone (L15)',
    caughtBy: unit(RESUME_TEST),
  },
  {
    name: 'equal-epoch-is-equal-rows',
    file: RESUME,
    find: "operator.digest !== '' && operator.digest !== head.digest)",
    replace: "operator.digest === '-' && operator.digest !== head.digest)",
    breaks: 'rows that differ although nothing is missing are found (L35)',
    caughtBy: unit(RESUME_TEST),
  },
  {
    name: 'digest-without-identity',
    file: 'contract/src/digest.ts',
    find: '${key}\\n${id}\\n',
    replace: '${key}\\n',
    breaks: 'an order placed anew after a restore is not taken for the one that got lost (L11)',
    caughtBy: unit('contract/src/digest.test.ts'),
  },
  {
    name: 'crowd-told-to-come-at-once',
    file: `${FEED}/admission.ts`,
    find: 'lastPlaceMs = Math.min(place, timeMs + MAX_WAIT_MS);',
    replace: 'lastPlaceMs = Math.min(place, timeMs);',
    breaks: 'a crowd comes back as fast as it can be admitted (L39)',
    caughtBy: unit(`${FEED}/admission.test.ts`),
  },
  {
    name: 'question-that-uses-up',
    file: 'control-api/src/http/bucket.ts',
    find: 'return tokens < 1;',
    replace: 'return tokens-- < 1;',
    breaks: 'strangers use up nothing that others may want (L39)',
    caughtBy: unit(`${FEED}/admission.test.ts`),
  },
  {
    name: 'report-that-is-never-over',
    file: 'control-api/src/feedback/backpressure.ts',
    find: '        reports -= 1;\n',
    replace: '',
    breaks: 'what is over makes room for what comes (L39)',
    caughtBy: unit('control-api/src/feedback/backpressure.test.ts'),
  },
  {
    name: 'answers-of-others',
    file: 'control-api/src/db/batched-look-up.ts',
    find: 'for (const { id, resolve } of some) resolve(found.get(id));',
    replace: 'for (const { resolve } of some) resolve(found.values().next().value);',
    breaks: 'who calls comes from its own key (L22)',
    caughtBy: unit('control-api/src/db/batched-look-up.test.ts'),
  },
];
