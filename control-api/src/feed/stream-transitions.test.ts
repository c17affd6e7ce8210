import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Frame, frameSchema } from '@felucca/contract';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { FeedRow, Head } from './rows.ts';
import {
  initialStream,
  type StreamEffect,
  type StreamEvent,
  type StreamPhase,
  type StreamState,
  type StreamTerms,
} from './stream-state.ts';
import { ignore } from './stream-steps.ts';
import { STREAM_TRANSITIONS, stepStream } from './stream-transitions.ts';

const SPEC = readFileSync(join(import.meta.dirname, '../../../contract/SPEC.md'), 'utf8');
const REPAIR = `80${'0'.repeat(62)}`;
const TERMS: StreamTerms = {
  dataPlaneId: 'dp',
  keyId: 'key',
  session: 's1',
  transport: 'stream',
  epoch: 'e1',
  repair: undefined,
  endsAtMs: 300_000,
  heartbeatMs: 15_000,
  slowMs: 30_000,
  tickMs: 1_000,
};
const headAt = (head: bigint, over: Partial<Head> = {}): Head => ({
  dataPlaneId: 'dp',
  epoch: 'e1',
  head,
  compacted: 0n,
  digest: head.toString(16).padStart(32, '0'),
  count: Number(head),
  session: 's1',
  ...over,
});
const row = (rev: bigint): FeedRow => ({
  kind: 'Instance',
  key: `acme/i${rev}`,
  id: `id-${rev}`,
  rev: String(rev),
  generation: 1,
  hash: `sha256:${'0'.repeat(64)}`,
  spec: '{}',
  kid: 'k',
  sig: 's',
  traceparent: null,
  deleted: false,
  age: 0,
});
const rowsOf = (from: bigint, to: bigint): FeedRow[] =>
  Array.from({ length: Number(to - from) }, (_, n) => row(from + BigInt(n) + 1n));

type Start = { phase: 'snapshot' | 'repair' | 'tail'; transport: 'stream' | 'poll' };
const begin = ({ phase, transport }: Start): { state: StreamState; terms: StreamTerms } => ({
  state: initialStream(phase, phase === 'snapshot' ? 0n : 5n, headAt(8n), 0),
  terms: { ...TERMS, transport, repair: phase === 'repair' ? REPAIR : undefined },
});

/** What the hub would bring, above all what fits: the read of a database that goes on, and sometimes goes back. */
const happenings = fc.array(
  fc.record({
    type: fc.constantFrom<StreamEvent['type'][]>(
      ...(Object.keys(STREAM_TRANSITIONS.tail) as StreamEvent['type'][]),
      ...(['delta', 'delta', 'page', 'page', 'tick', 'tick', 'full', 'room'] as const),
    ),
    passedMs: fc.constantFrom(0, 10, 1_000, 14_500, 31_000, 300_000),
    written: fc.nat(4),
    taken: fc.nat(3),
    last: fc.boolean(),
    odd: fc.constantFrom('', '', '', '', '', '', 'session', 'epoch', 'back', 'compacted'),
  }),
  { maxLength: 25 },
);
type Happening = typeof happenings extends fc.Arbitrary<(infer H)[]> ? H : never;

/** Plays against a database of one counter; what the socket was told comes back as frames. */
function play(
  start: Start,
  events: Happening[],
  seen: (event: string, from: StreamPhase, to: StreamPhase) => void,
) {
  let { state, terms } = begin(start);
  let nowMs = 0;
  let head = state.known.head;
  const at = head;
  const effects: StreamEffect[] = [];
  for (const { type, passedMs, written, taken, last, odd } of events) {
    nowMs += passedMs;
    head += BigInt(written);
    const known = headAt(odd === 'back' ? 1n : head, {
      ...(odd === 'session' ? { session: 's2' } : {}),
      ...(odd === 'epoch' ? { epoch: 'e2' } : {}),
      ...(odd === 'compacted' ? { compacted: head } : {}),
    });
    const { cursor } = state;
    const to = cursor + BigInt(taken) < head && taken > 0 ? cursor + BigInt(taken) : head;
    const page = { head: known, rows: cursor < head ? rowsOf(cursor, to) : [], more: to < head };
    const event = {
      type,
      nowMs,
      readMs: nowMs,
      page,
      at,
      rows: [],
      last,
      head: known,
      windowMs: 1_000,
      reconnectWithinMs: 0,
    };
    const step = stepStream(state, event as unknown as StreamEvent, terms);
    seen(type, state.phase, step.state.phase);
    effects.push(...step.effects);
    state = step.state;
  }
  return { state, effects, at, start: begin(start).state.cursor };
}

const linesOf = (effects: readonly StreamEffect[]): Frame[] =>
  effects.flatMap((effect) =>
    (effect.do === 'write' || effect.do === 'end') && effect.line !== undefined
      ? [frameSchema.parse(JSON.parse(effect.line))]
      : [],
  );

const starts: fc.Arbitrary<Start> = fc.record({
  phase: fc.constantFrom('snapshot', 'repair', 'tail'),
  transport: fc.constantFrom('stream', 'poll'),
});

describe('whatever happens', () => {
  const always = (check: (played: ReturnType<typeof play>, start: Start) => void): void =>
    fc.assert(
      fc.property(starts, happenings, (start, events) =>
        check(
          play(start, events, () => {}),
          start,
        ),
      ),
      { numRuns: 1_000 },
    );

  // Invariant L2.
  test('deltas join without a gap or an overlap, from where the operator is', () => {
    always(({ effects, at, start }, { phase }) => {
      let cursor = start;
      for (const frame of linesOf(effects)) {
        if (frame.type === 'snapshot' && frame.last && phase === 'snapshot') cursor = at;
        if (frame.type !== 'delta') continue;
        expect(frame.from).toBe(String(cursor));
        const all = rowsOf(cursor, BigInt(frame.to)).map(({ rev }) => rev);
        expect(frame.ops.map(({ rev }) => rev)).toEqual(all);
        cursor = BigInt(frame.to);
      }
    });
  });

  test('a bookmark of a position is of the head, with the digest of that head', () => {
    always(({ effects, start, at }, { phase }) => {
      let cursor = start;
      let positioned = phase !== 'snapshot';
      for (const frame of linesOf(effects)) {
        if (frame.type === 'snapshot' && frame.last && phase === 'snapshot') {
          cursor = at;
          positioned = true;
        }
        if (frame.type === 'delta') cursor = BigInt(frame.to);
        if (frame.type !== 'bookmark') continue;
        expect(frame.cursor).toBe(positioned ? String(cursor) : '0');
        if (positioned) expect(frame.digest).toBe(headAt(cursor).digest);
      }
    });
  });

  test('it ends once, and says nothing after its end', () => {
    always(({ effects, state }) => {
      const ends = effects.flatMap((effect, index) => (effect.do === 'end' ? [index] : []));
      expect(ends.length).toBeLessThanOrEqual(1);
      if (ends.length === 1) expect([ends[0], state.phase]).toEqual([effects.length - 1, 'closed']);
    });
  });
});

// Invariant L32.
test('an operator that waits for rows, because the database is away, hears of it', () => {
  const { state, terms } = begin({ phase: 'tail', transport: 'stream' });
  const tick = (from: StreamState, nowMs: number) =>
    stepStream(from, { type: 'tick', nowMs, reconnectWithinMs: 0 }, terms);
  expect(tick(state, 13_000).effects).toEqual([]);
  const quiet = tick(state, 14_000);
  expect(linesOf(quiet.effects)).toMatchObject([{ type: 'delta', from: '5', to: '5', ops: [] }]);
  expect(tick(quiet.state, 15_000).effects).toEqual([]);
});

// Invariant L31.
test('a heartbeat says within which time whoever loses the connection is to come back', () => {
  const { state, terms } = begin({ phase: 'tail', transport: 'stream' });
  const atHead = { ...state, cursor: state.known.head };
  const { effects } = stepStream(atHead, { type: 'tick', nowMs: 14_000, reconnectWithinMs: 2_500 }, terms);
  expect(linesOf(effects)).toMatchObject([{ type: 'bookmark', cursor: '8', reconnectWithinMs: 2_500 }]);
});

// Invariant L5.
test('other rows at the head that was sent, as after a restore that nobody told of, are in the next heartbeat', () => {
  const { state, terms } = begin({ phase: 'tail', transport: 'stream' });
  const atHead = { ...state, cursor: state.known.head };
  const other = headAt(state.known.head, { digest: 'f'.repeat(32), count: 3 });
  const polled = stepStream(atHead, { type: 'head', head: other, nowMs: 10_000 }, terms);
  expect(polled.effects).toEqual([]);
  const { effects } = stepStream(polled.state, { type: 'tick', nowMs: 14_000, reconnectWithinMs: 0 }, terms);
  expect(linesOf(effects)).toMatchObject([{ type: 'bookmark', cursor: '8', digest: other.digest, count: 3 }]);
});

test('what SPEC.md shows of a stream is what it does', () => {
  const seen = new Map<string, Set<StreamPhase>>();
  const note = (event: string, from: StreamPhase, to: StreamPhase): void => {
    const key = `${from} ${event}`;
    seen.set(key, (seen.get(key) ?? new Set()).add(to));
  };
  fc.assert(
    fc.property(starts, happenings, (start, events) => void play(start, events, note)),
    { numRuns: 6_000, seed: 7 },
  );
  const phases = ['snapshot', 'repair', 'tail'] as const;
  const events = Object.keys(STREAM_TRANSITIONS.closed) as StreamEvent['type'][];
  const cell = (phase: StreamPhase, event: StreamEvent['type']): string =>
    STREAM_TRANSITIONS[phase][event] === ignore
      ? '–'
      : [...(seen.get(`${phase} ${event}`) ?? [])].sort().reverse().join(', ');
  const written = [...SPEC.matchAll(/^\| `stream` ([a-zA-Z]+ \| .*) \|$/gm)].map(([, line]) => line);
  expect(written).toEqual(
    events.map((event) => `${event} | ${phases.map((phase) => cell(phase, event)).join(' | ')}`),
  );
  for (const event of events) expect(STREAM_TRANSITIONS.closed[event]).toBe(ignore);
});
