import { bucketOf, differingBuckets, hasBucket, type Op, PROTO } from '@felucca/contract';
import { drawMs, retryAfterMs } from '@felucca/operator/sync/backoff';
import {
  type FeedEffect,
  type FeedEvent,
  type FeedState,
  initialFeed,
} from '@felucca/operator/sync/feed-state';
import { POLL_WAIT_SECONDS } from '@felucca/operator/sync/feed-steps';
import { stepFeed } from '@felucca/operator/sync/feed-transitions';
import { FrameError, FrameReader } from '@felucca/operator/sync/frames';
import { guardRow, RowSet, rowName } from '@felucca/operator/sync/rows';
import { openStream, type Target } from './http.ts';
import type { Identity } from './identity.ts';
import type { Reports } from './reports.ts';

/** What agents of one process share, and what they tell. */
export interface World {
  /** A process of the control plane that is ready, as a load balancer would choose it. */
  target(): Target | undefined;
  random(): number;
  /** Monotonic. */
  nowMs(): number;
  /** A row arrived with the tail and is applied. */
  delivered(op: Op): void;
  /** A row, from wherever, changes what this data plane has: an operator would write to its cluster now. */
  applied(op: Op): void;
  /** Rows and digest are those of the head, for the first time since the connection was lost. */
  becameCurrent(afterMs: number): void;
  /** The control plane ends the connection and asks for the next one within this time. */
  askedBack(withinMs: number): void;
  /** `what` happened to a connection: the mode of a hello, the status of a refusal, why one was lost. */
  count(what: string): void;
}

/**
 * The operator of one data plane without a cluster: the operator's own state machine, frame checks, revision guard and
 * digest, around one socket. What is left out is what comes behind: signatures are not verified and nothing is applied.
 */
export class Agent {
  readonly identity: Identity;
  readonly rows = new RowSet();
  readonly reports: Reports | undefined;
  /** The last bookmark said so, and nothing has been lost since. */
  current = false;
  private readonly world: World;
  private state: FeedState;
  private stream: { destroy(): void } | undefined;
  private retryTimer: NodeJS.Timeout | undefined;
  private heardMs = 0;
  private deadlineMs = Number.POSITIVE_INFINITY;
  private stableAtMs = Number.POSITIVE_INFINITY;
  private lostAtMs: number;
  /** Names that the snapshot under way has had, and the buckets that it is of. */
  private named: Set<string> | undefined;
  private scope: string | undefined;

  constructor(identity: Identity, world: World, reports?: Reports) {
    this.identity = identity;
    this.world = world;
    this.reports = reports;
    this.lostAtMs = world.nowMs();
    this.state = initialFeed(identity.dataPlaneId, '', '0');
    if (reports) reports.onSessionRefused = () => this.dispatch({ type: 'sessionRefused' });
  }

  get phase(): FeedState['phase'] {
    return this.state.phase;
  }
  get cursor(): string {
    return this.state.memory.cursor;
  }

  start(): void {
    this.lostAtMs = this.world.nowMs();
    this.dispatch({ type: 'start' });
  }
  stop(): void {
    clearTimeout(this.retryTimer);
    this.reports?.stop();
    this.dispatch({ type: 'stop' });
  }
  /** As when the network goes: the machine hears of a closed connection. */
  cut(): void {
    const { stream } = this;
    this.stream = undefined;
    stream?.destroy();
    if (stream) this.dispatch({ type: 'closed', why: 'network' });
  }
  /** Called every second or so, instead of two timers for each agent. */
  sweep(timeMs: number): void {
    if (timeMs >= this.stableAtMs) {
      this.stableAtMs = Number.POSITIVE_INFINITY;
      this.dispatch({ type: 'stable' });
    }
    if (this.stream && timeMs - this.heardMs > this.deadlineMs) this.dispatch({ type: 'silent' });
  }

  private dispatch(event: FeedEvent): void {
    if (event.type === 'drain') this.world.askedBack(event.retryMaxMs);
    const { state, effects } = stepFeed(this.state, event);
    this.state = state;
    for (const effect of effects) this.perform(effect);
  }

  private perform(effect: FeedEffect): void {
    const { world, rows } = this;
    switch (effect.do) {
      case 'connect':
        this.connect(effect);
        break;
      case 'disconnect':
        this.stream?.destroy();
        this.stream = undefined;
        this.stableAtMs = Number.POSITIVE_INFINITY;
        break;
      case 'wait':
        clearTimeout(this.retryTimer);
        this.retryTimer = setTimeout(
          () => this.dispatch({ type: 'retryDue' }),
          drawMs(effect, () => world.random()),
        );
        break;
      case 'watchdog':
        this.deadlineMs = effect.ms;
        this.heardMs = world.nowMs();
        break;
      case 'stableIn':
        this.stableAtMs = world.nowMs() + effect.ms;
        break;
      case 'greet':
        world.count(effect.reset === undefined ? 'hello resume' : `hello reset ${effect.reset}`);
        this.reports?.sessionStarted(effect.session, effect.epoch);
        break;
      case 'adopt':
        rows.adoptEpoch(effect.epoch);
        break;
      case 'findDifference':
        world.count('hello verify');
        this.dispatch({
          type: 'differenceFound',
          repair: differingBuckets(rows.bucketDigests(), effect.buckets),
        });
        break;
      case 'snapshotBegins':
        this.named = new Set();
        this.scope = effect.repair;
        break;
      case 'snapshotRows':
        for (const op of effect.ops) this.take(op, effect.epoch);
        break;
      case 'snapshotEnds':
        this.forgetUnnamed();
        break;
      case 'rows':
        for (const op of effect.ops) {
          this.take(op, effect.epoch);
          world.delivered(op);
        }
        this.acknowledge();
        break;
      case 'compare':
        this.compare(effect);
        break;
      case 'lost':
        world.count(`lost ${effect.why}`);
        if (this.current) this.lostAtMs = world.nowMs();
        this.current = false;
        this.named = undefined;
        this.reports?.sessionEnded();
        break;
    }
  }

  private connect(effect: Extract<FeedEffect, { do: 'connect' }>): void {
    const target = this.world.target();
    if (!target) {
      queueMicrotask(() => this.dispatch({ type: 'closed', why: 'network' }));
      return;
    }
    const path = `/v1/data-planes/${this.identity.dataPlaneId}/sync`;
    const query = new URLSearchParams({
      proto: String(PROTO),
      epoch: effect.epoch,
      cursor: effect.cursor,
      digest: this.rows.digest,
      count: String(this.rows.count),
      instance: 'agent-0',
      term: '1',
      verify: '1',
    });
    if (effect.repair !== '') query.set('repair', effect.repair);
    if (effect.transport === 'poll') query.set('wait', String(POLL_WAIT_SECONDS));
    const authorization = this.identity.authorization('GET', path);
    const headers = { accept: 'application/x-ndjson', authorization };
    const frames = new FrameReader();
    let refusal: { status: number; retryAfter: string | undefined } | undefined;
    const hear = (event: FeedEvent): void => {
      if (this.stream === stream) this.dispatch(event);
    };
    const ends = (why: string): void => hear({ type: 'closed', why });
    const stream = openStream(
      target,
      { method: 'GET', path: `${path}?${query}`, headers },
      {
        head: (status, answer) => {
          if (status !== 200) refusal = { status, retryAfter: answer.get('retry-after') };
        },
        body: (part) => {
          if (refusal) return;
          this.heardMs = this.world.nowMs();
          try {
            for (const frame of frames.push(part)) hear(frame);
          } catch (error) {
            if (!(error instanceof FrameError)) throw error;
            this.world.count('bad frame');
            ends('protocol');
          }
        },
        end: () => (refusal ? hear(this.refused(refusal)) : ends('closed')),
        lost: (error) => ends(error ? 'network' : 'closed'),
      },
    );
    this.stream = stream;
  }

  private refused({ status, retryAfter }: { status: number; retryAfter: string | undefined }): FeedEvent {
    this.world.count(`refused ${status}`);
    const wait = retryAfterMs(retryAfter, Date.now());
    const message = `HTTP ${status}`;
    return { type: 'refused', status, message, ...(wait === undefined ? {} : { retryAfterMs: wait }) };
  }

  private take(op: Op, epoch: string): void {
    const { kind, key, id, rev, generation, kid, sig } = op;
    const name = rowName(kind, key);
    const entry = this.rows.get(kind, key);
    if (op.op === 'put') this.named?.add(name);
    if (guardRow(entry, op, epoch) === 'stale') return;
    if (op.op === 'del') {
      if (entry?.good && entry.good.id !== id) return;
      this.rows.set({ kind, key, seenRev: rev, epoch });
      if (entry?.good) this.world.applied(op);
      this.reports?.ended(op);
      return;
    }
    const { hash } = op;
    const isNew = entry?.good?.id !== id || entry.good.generation !== generation || entry.good.hash !== hash;
    if (isNew) this.world.applied(op);
    const good = { id, generation, hash, rev, kid, sig };
    this.rows.set({ kind, key, feed: { id, rev, generation, hash }, seenRev: rev, epoch, good });
    this.reports?.observed(op);
  }

  /** An operator would keep the objects and report them; a simulated one has none. */
  private forgetUnnamed(): void {
    const { named, scope } = this;
    this.named = undefined;
    for (const { kind, key } of [...this.rows.all()])
      if (!named?.has(rowName(kind, key)) && (scope === undefined || hasBucket(scope, bucketOf(kind, key))))
        this.rows.remove(kind, key);
    this.acknowledge();
  }

  private acknowledge(): void {
    if (this.cursor !== '0') this.reports?.acknowledge(this.cursor, this.rows.digest);
  }

  private compare({ digest }: { digest: string }): void {
    const agrees = digest === this.rows.digest;
    if (!agrees) this.world.count('digest differs');
    this.dispatch({ type: agrees ? 'digestAgrees' : 'digestDiffers' });
    if (!agrees || this.current) return;
    this.current = true;
    this.world.becameCurrent(this.world.nowMs() - this.lostAtMs);
    this.acknowledge();
  }
}
