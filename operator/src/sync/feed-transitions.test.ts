import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bucketSet, EMPTY_DIGEST, type Frame } from '@felucca/contract';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { type FeedEvent, type FeedState, initialFeed } from './feed-state.ts';
import { ignore } from './feed-steps.ts';
import { FEED_TRANSITIONS, stepFeed } from './feed-transitions.ts';

const hello = (over: Partial<Extract<Frame, { type: 'hello' }>> = {}): Frame => ({
  type: 'hello',
  proto: 1,
  session: 's1',
  dataPlaneId: 'dp',
  epoch: 'e1',
  head: '10',
  digest: EMPTY_DIGEST,
  compacted: '0',
  mode: 'resume',
  heartbeatSeconds: 10,
  maxAgeSeconds: 600,
  ...over,
});
const delta = (from: string, to: string): Frame => ({ type: 'delta', from, to, complete: true, ops: [] });
const page = (number: number, last: boolean, at = '10'): Frame => ({
  type: 'snapshot',
  at,
  page: number,
  last,
  ops: [],
});
const bookmark = (cursor: string): Frame => ({ type: 'bookmark', cursor, digest: EMPTY_DIGEST, count: 0 });

function run(events: FeedEvent[], from: FeedState = initialFeed('dp', 'e1', '5')) {
  let state = from;
  let effects: string[] = [];
  let last: ReturnType<typeof stepFeed>['effects'] = [];
  for (const event of events) {
    const step = stepFeed(state, event);
    state = step.state;
    last = step.effects;
    effects = [...effects, ...step.effects.map((effect) => effect.do)];
  }
  return { state, effects, last };
}

const connecting: FeedEvent[] = [{ type: 'start' }];
const SOME = bucketSet([7]);
const BUCKETS = Array.from({ length: 256 }, () => EMPTY_DIGEST);
const verifying = hello({ mode: 'verify', head: '5', buckets: BUCKETS });
const asked: FeedEvent[] = [
  ...connecting,
  verifying,
  { type: 'differenceFound', repair: SOME },
  { type: 'retryDue' },
];
const repairing: FeedEvent[] = [...asked, hello({ repair: SOME })];
const part = (number: number, last: boolean, at = '9'): Frame => ({
  type: 'snapshot',
  at,
  page: number,
  last,
  repair: SOME,
  ops: [],
});
const tailing: FeedEvent[] = [...connecting, hello()];
const resetting: FeedEvent[] = [...connecting, hello({ mode: 'reset', reason: 'COMPACTED', epoch: 'e2' })];

/** One row per transition: what has happened, the next event, where it leads and what is done. */
const TABLE: [string, FeedEvent[], FeedEvent, FeedState['phase'], string[]][] = [
  ['start connects', [], { type: 'start' }, 'connecting', ['connect', 'watchdog']],
  ['a second start changes nothing', connecting, { type: 'start' }, 'connecting', []],
  ['stop disconnects', tailing, { type: 'stop' }, 'stopped', ['disconnect']],
  ['stop of a stopped feed does nothing', [], { type: 'stop' }, 'stopped', []],
  ['a hello that resumes tails', connecting, hello(), 'tailing', ['greet', 'watchdog', 'stableIn']],
  [
    'a hello of an equal digest in another epoch is adopted',
    connecting,
    hello({ epoch: 'e9' }),
    'tailing',
    ['greet', 'adopt', 'watchdog', 'stableIn'],
  ],
  [
    'a hello that resets waits for a snapshot',
    connecting,
    hello({ mode: 'reset' }),
    'resetting',
    ['greet', 'watchdog', 'stableIn'],
  ],
  [
    'a hello for another data plane halts',
    connecting,
    hello({ dataPlaneId: 'other' }),
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  [
    'a hello of another protocol halts',
    connecting,
    hello({ proto: 2 }),
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  [
    'data before hello breaks the protocol',
    connecting,
    delta('5', '6'),
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  ['a second hello breaks the protocol', tailing, hello(), 'waiting', ['disconnect', 'lost', 'wait']],
  ['a contiguous delta is applied', tailing, delta('5', '7'), 'tailing', ['watchdog', 'rows']],
  ['an old delta is ignored', tailing, delta('3', '5'), 'tailing', ['watchdog']],
  ['a gap reconnects', tailing, delta('6', '7'), 'waiting', ['disconnect', 'lost', 'wait']],
  ['a bookmark at our cursor is compared', tailing, bookmark('5'), 'tailing', ['watchdog', 'compare']],
  ['a bookmark behind us is a heartbeat', tailing, bookmark('4'), 'tailing', ['watchdog']],
  ['a bookmark ahead of us is a gap', tailing, bookmark('6'), 'waiting', ['disconnect', 'lost', 'wait']],
  [
    'a snapshot without reset breaks the protocol',
    tailing,
    page(0, true),
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  ['a hello that verifies has buckets compared', connecting, verifying, 'connecting', ['findDifference']],
  [
    'a hello that verifies another head is asked again',
    connecting,
    hello({ mode: 'verify', head: '6', buckets: BUCKETS }),
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  [
    'what differs is asked for',
    [...connecting, verifying],
    { type: 'differenceFound', repair: SOME },
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  [
    'a first page of a repair is compared beside the tail',
    repairing,
    part(1, false),
    'repairing',
    ['watchdog', 'snapshotBegins', 'snapshotRows'],
  ],
  [
    'a last page of a repair ends it',
    [...repairing, part(1, false)],
    part(2, true),
    'tailing',
    ['watchdog', 'snapshotRows', 'snapshotEnds'],
  ],
  [
    'a page of a repair out of order reconnects',
    [...repairing, part(1, false)],
    part(3, true),
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  ['a bookmark in a repair is a heartbeat', repairing, bookmark('5'), 'repairing', ['watchdog']],
  ['a delta in a repair is applied', repairing, delta('5', '7'), 'repairing', ['watchdog', 'rows']],
  [
    'a repair that was not asked for breaks the protocol',
    tailing,
    part(1, true),
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  [
    'a first page begins the snapshot',
    resetting,
    page(0, false),
    'resetting',
    ['watchdog', 'snapshotBegins', 'snapshotRows'],
  ],
  [
    'a last page ends it and tails',
    [...resetting, page(0, false)],
    page(1, true),
    'tailing',
    ['watchdog', 'snapshotRows', 'snapshotEnds'],
  ],
  [
    'a single page does all',
    resetting,
    page(0, true),
    'tailing',
    ['watchdog', 'snapshotBegins', 'snapshotRows', 'snapshotEnds'],
  ],
  [
    'a page out of order reconnects',
    [...resetting, page(0, false)],
    page(2, true),
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  [
    'a page of another revision reconnects',
    [...resetting, page(0, false)],
    page(1, true, '11'),
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  [
    'a delta inside a snapshot reconnects',
    resetting,
    delta('5', '6'),
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  ['a heartbeat inside a snapshot is fine', resetting, bookmark('5'), 'resetting', ['watchdog']],
  [
    'drain waits as told',
    tailing,
    { type: 'drain', reason: 'shutdown', retryMinMs: 7, retryMaxMs: 9 },
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  [
    'drain is heard before hello too',
    connecting,
    { type: 'drain', reason: 'slow', retryMinMs: 7, retryMaxMs: 9 },
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  [
    'a retryable error backs off',
    tailing,
    { type: 'error', code: 'INTERNAL', message: '', retryable: true },
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  [
    'SUPERSEDED halts',
    tailing,
    { type: 'error', code: 'SUPERSEDED', message: '', retryable: false },
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  ['silence reconnects', tailing, { type: 'silent' }, 'waiting', ['disconnect', 'lost', 'wait']],
  [
    'silence before hello reconnects',
    connecting,
    { type: 'silent' },
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  [
    'a closed connection reconnects',
    tailing,
    { type: 'closed', why: 'closed' },
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  [
    '429 waits',
    connecting,
    { type: 'refused', status: 429, retryAfterMs: 2000, message: '' },
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  [
    '426 halts',
    connecting,
    { type: 'refused', status: 426, message: '' },
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  [
    'a differing digest reconnects',
    tailing,
    { type: 'digestDiffers' },
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  [
    'a refused session reconnects',
    tailing,
    { type: 'sessionRefused' },
    'waiting',
    ['disconnect', 'lost', 'wait'],
  ],
  ['missing rows reconnect', tailing, { type: 'rowsMissing' }, 'waiting', ['disconnect', 'lost', 'wait']],
  [
    'missing rows are remembered while waiting',
    [...tailing, { type: 'silent' }],
    { type: 'rowsMissing' },
    'waiting',
    [],
  ],
  [
    'a retry that is due connects',
    [...tailing, { type: 'silent' }],
    { type: 'retryDue' },
    'connecting',
    ['connect', 'watchdog'],
  ],
  ['a late timer is ignored', tailing, { type: 'retryDue' }, 'tailing', []],
  ['late frames are ignored', [...tailing, { type: 'silent' }], delta('5', '6'), 'waiting', []],
  ['a stable connection forgets its attempts', tailing, { type: 'stable' }, 'tailing', []],
];

describe('the feed machine', () => {
  it.each(TABLE)('%s', (_, before, event, phase, effects) => {
    const { state } = run(before);
    const step = stepFeed(state, event);
    expect(step.state.phase).toBe(phase);
    expect(step.effects.map((effect) => effect.do)).toEqual(effects);
  });

  it('asks from the last received revision after a break', () => {
    const { last } = run([
      ...tailing,
      delta('5', '9'),
      { type: 'closed', why: 'closed' },
      { type: 'retryDue' },
    ]);
    expect(last[0]).toMatchObject({ do: 'connect', epoch: 'e1', cursor: '9' });
  });

  // Invariant L4.
  it('keeps the old cursor until the last page of a snapshot', () => {
    const cut = run([...resetting, page(0, false), { type: 'closed', why: 'closed' }, { type: 'retryDue' }]);
    expect(cut.last[0]).toMatchObject({ do: 'connect', epoch: 'e1', cursor: '5' });
    const whole = run([...resetting, page(0, true), { type: 'closed', why: 'closed' }, { type: 'retryDue' }]);
    expect(whole.last[0]).toMatchObject({ do: 'connect', epoch: 'e2', cursor: '10' });
  });

  it('asks for everything when a row is missing', () => {
    const { last } = run([...tailing, { type: 'rowsMissing' }, { type: 'retryDue' }]);
    expect(last[0]).toMatchObject({ do: 'connect', epoch: '', cursor: '0' });
  });

  it('keeps its cursor in a repair, and compares after it', () => {
    const { state } = run([...repairing, part(1, true)]);
    expect(state.memory).toMatchObject({ cursor: '5', repair: '' });
    expect(stepFeed(state, bookmark('5')).effects.map((effect) => effect.do)).toContain('compare');
  });

  // Invariant L35.
  it('has everything sent again when two repairs did not help, and begins to count anew when one did', () => {
    const failed: FeedEvent[] = [...repairing, part(1, true), { type: 'digestDiffers' }];
    const twice = [
      ...failed,
      { type: 'retryDue' } as const,
      ...asked.slice(1),
      ...failed.slice(asked.length),
    ];
    const third = [...twice, { type: 'retryDue' } as const, verifying];
    const sentAgain = run(third).state;
    expect(sentAgain).toMatchObject({ phase: 'waiting', memory: { epoch: '', cursor: '0' } });
    // That did not help either: the server has another history under the same epoch.
    const fresh: FeedEvent[] = [
      { type: 'retryDue' },
      hello({ mode: 'reset', reason: 'NEW', epoch: 'e1' }),
      page(0, true),
      { type: 'digestDiffers' },
      { type: 'retryDue' },
      { ...verifying, head: '10' } as FeedEvent,
      { type: 'retryDue' },
    ];
    expect(run(fresh, sentAgain).last[0]).toMatchObject({
      do: 'connect',
      epoch: 'e1',
      cursor: '9223372036854775807',
    });
    const helped: FeedEvent[] = [...repairing, part(1, true), { type: 'digestAgrees' }];
    expect(run(helped).state.memory.comparisons).toBe(0);
  });

  // Invariant L31.
  it('obeys the window of a drain without counting it as a failure', () => {
    const { state, last } = run([
      ...tailing,
      { type: 'drain', reason: 'rotate', retryMinMs: 7, retryMaxMs: 9 },
    ]);
    expect(last.at(-1)).toEqual({ do: 'wait', minMs: 7, maxMs: 9 });
    expect(state.memory.attempt).toBe(0);
  });

  // Invariant L31.
  it('waits at least what Retry-After says', () => {
    const { last } = run([...connecting, { type: 'refused', status: 503, retryAfterMs: 4000, message: '' }]);
    expect(last.at(-1)).toMatchObject({ do: 'wait', minMs: 4000 });
  });

  // Invariant L34.
  it('tells a gap from none where a double cannot', () => {
    const from = initialFeed('dp', 'e1', '9007199254740992');
    const events = [...connecting, hello({ head: '9007199254740993' })];
    const next = delta('9007199254740992', '9007199254740993');
    expect(run([...events, next], from).state.memory.cursor).toBe('9007199254740993');
    const gap = delta('9007199254740993', '9007199254740994');
    expect(run([...events, gap], from).last[1]).toMatchObject({ do: 'lost', why: 'gap' });
  });

  // Invariant L31.
  it('doubles the window from 0.8 s to 30 s and starts over once stable', () => {
    let state = initialFeed('dp', 'e1', '5');
    const windows: number[] = [];
    for (let round = 0; round < 8; round += 1) {
      const down = run(
        [{ type: round === 0 ? 'start' : 'retryDue' }, { type: 'closed', why: 'network' }],
        state,
      );
      state = down.state;
      windows.push((down.last.at(-1) as { maxMs: number }).maxMs);
    }
    expect(windows).toEqual([800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
    const up = run([{ type: 'retryDue' }, hello(), { type: 'stable' }, { type: 'silent' }], state);
    expect(up.last.at(-1)).toMatchObject({ maxMs: 800 });
  });

  // Invariant L31.
  it('comes back within the time that the server asks for, with everybody else who lost it, and within 30 s', () => {
    const told = (reconnectWithinMs: number): FeedEvent[] => [
      ...tailing,
      { ...bookmark('5'), reconnectWithinMs } as Frame,
      // One that says nothing of it changes nothing.
      bookmark('5'),
    ];
    const windowAfter = (events: FeedEvent[]) => run(events).last.at(-1);
    const lost: FeedEvent = { type: 'closed', why: 'network' };
    expect(windowAfter([...told(10_000), lost])).toEqual({ do: 'wait', minMs: 0, maxMs: 10_000 });
    expect(windowAfter([...told(10_000), { type: 'silent' }])).toMatchObject({ maxMs: 10_000 });
    // Nobody was there: still with all the others.
    expect(windowAfter([...told(10_000), lost, { type: 'retryDue' }, lost])).toMatchObject({ maxMs: 10_000 });
    expect(windowAfter([...told(600_000), lost])).toMatchObject({ maxMs: 30_000 });
    expect(windowAfter([...told(5), lost])).toMatchObject({ maxMs: 800 });
    // What is wrong with this one stream is nobody else's.
    expect(windowAfter([...told(10_000), delta('6', '7')])).toMatchObject({ maxMs: 800 });
  });

  it('turns to long polls after two mute streams and back to a stream later', () => {
    const mute = run([
      { type: 'start' },
      { type: 'silent' },
      { type: 'retryDue' },
      { type: 'silent' },
      { type: 'retryDue' },
    ]);
    expect(mute.last[0]).toMatchObject({ do: 'connect', transport: 'poll' });
    let { state } = mute;
    for (let round = 0; round < 60; round += 1)
      state = run([hello(), { type: 'closed', why: 'closed' }, { type: 'retryDue' }], state).state;
    expect(state.memory).toMatchObject({ transport: 'stream', attempt: 2 });
  });

  // Invariant L2.
  it('never moves its cursor backwards inside an epoch, whatever arrives', () => {
    const revision = fc.bigInt({ min: 0n, max: 30n }).map(String);
    const event: fc.Arbitrary<FeedEvent> = fc.oneof(
      fc.constant<FeedEvent>({ type: 'start' }),
      fc.constant<FeedEvent>({ type: 'retryDue' }),
      fc.constant<FeedEvent>({ type: 'silent' }),
      fc.constant(hello()),
      fc.tuple(revision, revision).map(([from, to]) => delta(from, to)),
      revision.map((cursor) => bookmark(cursor)),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        let state = initialFeed('dp', 'e1', '5');
        for (const next of events) {
          const before = BigInt(state.memory.cursor);
          state = stepFeed(state, next).state;
          if (BigInt(state.memory.cursor) < before) return false;
        }
        return true;
      }),
    );
  });
});

test('what SPEC.md shows of the operator’s feed is what it does', () => {
  const revision = fc.constantFrom('4', '5', '6');
  const dataPlaneId = fc.constantFrom('dp', 'dp', 'dp', 'dp', 'other');
  const mode = fc.constantFrom('resume', 'resume', 'reset', 'verify');
  const repair = fc.constantFrom(undefined, SOME);
  const last = fc.boolean();
  const event: fc.Arbitrary<FeedEvent> = fc.oneof(
    fc.constantFrom<FeedEvent>(
      ...[...connecting, { type: 'stop' } as const, { type: 'retryDue' } as const],
      ...[{ type: 'retryDue' } as const, { type: 'silent' } as const, { type: 'stable' } as const],
      ...[{ type: 'closed', why: 'closed' } as const, { type: 'closed', why: 'network' } as const],
      ...[{ type: 'digestDiffers' } as const, { type: 'digestAgrees' } as const],
      ...[{ type: 'rowsMissing' } as const, { type: 'sessionRefused' } as const],
      { type: 'differenceFound', repair: SOME },
      { type: 'refused', status: 503, message: '' },
      { type: 'drain', reason: 'slow', retryMinMs: 1, retryMaxMs: 2 },
      { type: 'error', code: 'INTERNAL', message: '', retryable: true },
    ),
    fc
      .tuple(dataPlaneId, mode, repair)
      .map(([id, how, of]) =>
        hello({ dataPlaneId: id, mode: how, head: '5', buckets: BUCKETS, ...(of ? { repair: of } : {}) }),
      ),
    fc.tuple(revision, revision).map(([from, to]) => delta(from, to)),
    revision.map((cursor) => bookmark(cursor)),
    last.map((isLast) => page(1, isLast)),
    last.map((isLast) => part(1, isLast)),
  );
  const begun = [[], connecting, tailing, repairing, resetting];
  const seen = new Map<string, Set<FeedState['phase']>>();
  fc.assert(
    fc.property(fc.constantFrom(...begun), fc.array(event, { maxLength: 10 }), (before, events) => {
      let state = initialFeed('dp', 'e1', '5');
      for (const next of [...before, ...events]) {
        const key = `${state.phase} ${next.type}`;
        state = stepFeed(state, next).state;
        seen.set(key, (seen.get(key) ?? new Set()).add(state.phase));
      }
    }),
    { numRuns: 4_000, seed: 7 },
  );
  const phases = Object.keys(FEED_TRANSITIONS) as FeedState['phase'][];
  const cell = (phase: FeedState['phase'], type: FeedEvent['type']): string =>
    FEED_TRANSITIONS[phase][type] === ignore
      ? '–'
      : phases.filter((to) => seen.get(`${phase} ${type}`)?.has(to)).join(', ');
  const spec = readFileSync(join(import.meta.dirname, '../../../contract/SPEC.md'), 'utf8');
  const written = [...spec.matchAll(/^\| `feed` ([a-zA-Z]+ \| .*) \|$/gm)].map(([, line]) => line);
  const types = Object.keys(FEED_TRANSITIONS.connecting) as FeedEvent['type'][];
  expect(written).toEqual(
    types.map((type) => `${type} | ${phases.map((phase) => cell(phase, type)).join(' | ')}`),
  );
});
