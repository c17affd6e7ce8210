import type { IncomingMessage } from 'node:http';
import { type Op, PROTO } from '@felucca/contract';
import type { Logger } from 'pino';
import { type ApiClient, type Authorize, problemText } from './api-client.ts';
import { drawMs, retryAfterMs } from './backoff.ts';
import { type FeedEffect, type FeedEvent, type FeedState, initialFeed } from './feed-state.ts';
import { POLL_WAIT_SECONDS } from './feed-steps.ts';
import { stepFeed } from './feed-transitions.ts';
import { FrameReader } from './frames.ts';
import type { SyncMetrics } from './sync-metrics.ts';

/** What the feed delivers to; calls come in order and must not block. */
export interface FeedSink {
  /** Digest and row count at the cursor; an empty digest when something is in flight. */
  position(): { digest: string; count: number };
  greeted(hello: { session: string; epoch: string; head: string; reset?: string }): void;
  adopted(epoch: string, cursor: string): void;
  /** Buckets in which our rows are not those that these digests are of. */
  difference(buckets: readonly string[]): string;
  /** `repair`: of these buckets only, beside the tail. */
  snapshotBegins(epoch: string, repair: string | undefined): void;
  snapshotRows(epoch: string, ops: Op[]): void;
  snapshotEnds(epoch: string, at: string): void;
  rows(epoch: string, to: string, ops: Op[]): void;
  compare(cursor: string, digest: string, count: number): void;
  lost(why: string, message: string, halted: boolean): void;
  /** Nothing in flight any more. */
  idle(): Promise<void>;
  /** Room for another frame; while there is none the socket is not read. */
  capacity(): Promise<void>;
}

export interface FeedClientOptions {
  api: ApiClient;
  authorize: Authorize;
  dataPlaneId: string;
  instance: string;
  term: () => number;
  start: { epoch: string; cursor: string };
  sink: FeedSink;
  metrics: SyncMetrics;
  random: () => number;
  log: Logger;
}

/** An error's text may hold what somebody sent. */
const MAX_REASON = 300;
const SETTLE_WAIT_MS = 15_000;

/** Performs the effects of the state machine (feed-transitions.ts): one connection, three timers, nothing else. */
export class FeedClient {
  private state: FeedState;
  private readonly options: FeedClientOptions;
  private connection: AbortController | undefined;
  private deadlineMs = 0;
  private retryTimer: NodeJS.Timeout | undefined;
  private stableTimer: NodeJS.Timeout | undefined;

  constructor(options: FeedClientOptions) {
    this.options = options;
    this.state = initialFeed(options.dataPlaneId, options.start.epoch, options.start.cursor);
  }

  get phase(): FeedState['phase'] {
    return this.state.phase;
  }
  get cursor(): string {
    return this.state.memory.cursor;
  }

  start(): void {
    this.dispatch({ type: 'start' });
  }
  stop(): void {
    this.dispatch({ type: 'stop' });
    clearTimeout(this.retryTimer);
  }

  dispatch(event: FeedEvent): void {
    const step = stepFeed(this.state, event);
    if (step.state.phase !== this.state.phase)
      this.options.log.debug({ from: this.state.phase, to: step.state.phase, event: event.type }, 'feed');
    this.state = step.state;
    for (const effect of step.effects) this.perform(effect);
  }

  private perform(effect: FeedEffect): void {
    const { sink, metrics, random } = this.options;
    switch (effect.do) {
      case 'connect':
        void this.connect(effect);
        break;
      case 'disconnect':
        this.disconnect();
        break;
      case 'wait':
        clearTimeout(this.retryTimer);
        this.retryTimer = setTimeout(() => this.dispatch({ type: 'retryDue' }), drawMs(effect, random));
        this.retryTimer.unref();
        break;
      case 'watchdog':
        this.deadlineMs = effect.ms;
        break;
      case 'stableIn':
        clearTimeout(this.stableTimer);
        this.stableTimer = setTimeout(() => this.dispatch({ type: 'stable' }), effect.ms);
        this.stableTimer.unref();
        break;
      case 'greet':
        metrics.connected.set(1);
        sink.greeted(effect);
        break;
      case 'adopt':
        sink.adopted(effect.epoch, effect.cursor);
        break;
      case 'findDifference':
        this.dispatch({ type: 'differenceFound', repair: sink.difference(effect.buckets) });
        break;
      case 'snapshotBegins':
        sink.snapshotBegins(effect.epoch, effect.repair);
        break;
      case 'snapshotRows':
        sink.snapshotRows(effect.epoch, effect.ops);
        break;
      case 'snapshotEnds':
        sink.snapshotEnds(effect.epoch, effect.at);
        break;
      case 'rows':
        sink.rows(effect.epoch, effect.to, effect.ops);
        break;
      case 'compare':
        sink.compare(effect.cursor, effect.digest, effect.count);
        break;
      case 'lost':
        metrics.reconnects.inc({ reason: effect.why });
        sink.lost(effect.why, effect.message, effect.halted);
        break;
    }
  }

  private disconnect(): void {
    this.connection?.abort();
    this.connection = undefined;
    clearTimeout(this.stableTimer);
    this.options.metrics.connected.set(0);
  }

  private async connect(effect: Extract<FeedEffect, { do: 'connect' }>): Promise<void> {
    const connection = new AbortController();
    this.connection = connection;
    const emit = (event: FeedEvent): void => {
      if (this.connection === connection) this.dispatch(event);
    };
    // The digest belongs to the cursor only when everything received has settled. An API server that does not
    // answer must not keep us from the control plane: after a while we go without a digest.
    await settledWithin(this.options.sink.idle(), SETTLE_WAIT_MS);
    if (connection.signal.aborted) return;
    const watchdog = new Watchdog(() => emit({ type: 'silent' }));
    try {
      watchdog.arm(this.deadlineMs);
      const response = await this.open(effect, connection.signal);
      if (response.statusCode !== 200) return emit(await this.refusal(response));
      await this.read(response, watchdog, emit, connection.signal);
      emit({ type: 'closed', why: 'closed' });
    } catch (error) {
      this.options.log.debug({ err: error }, 'feed connection ended');
      const { name, message } = error as Error;
      emit({
        type: 'closed',
        why: name === 'FrameError' ? 'protocol' : 'network',
        message: `the connection ended: ${message.slice(0, MAX_REASON)}`,
      });
    } finally {
      watchdog.disarm();
      connection.abort();
    }
  }

  private open(
    effect: Extract<FeedEffect, { do: 'connect' }>,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const { api, authorize, dataPlaneId, instance, term, sink } = this.options;
    const { digest, count } = sink.position();
    const query: Record<string, string> = {
      proto: String(PROTO),
      epoch: effect.epoch,
      cursor: effect.cursor,
      digest,
      count: String(count),
      instance,
      term: String(term()),
      verify: '1',
    };
    if (effect.repair !== '') query['repair'] = effect.repair;
    if (effect.transport === 'poll') query['wait'] = String(POLL_WAIT_SECONDS);
    return api.open(`/v1/data-planes/${dataPlaneId}/sync`, query, authorize, signal);
  }

  private async refusal(response: IncomingMessage): Promise<FeedEvent> {
    const answer = await this.options.api.answer(response);
    const wait = retryAfterMs(answer.retryAfter, Date.now());
    const message = problemText(answer);
    return {
      type: 'refused',
      status: answer.status,
      message,
      ...(wait === undefined ? {} : { retryAfterMs: wait }),
    };
  }

  private async read(
    response: IncomingMessage,
    watchdog: Watchdog,
    emit: (event: FeedEvent) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const reader = new FrameReader();
    for await (const chunk of response as AsyncIterable<Buffer>) {
      // Paused while we apply: our own slowness is not the server's silence.
      watchdog.disarm();
      for (const frame of reader.push(chunk)) {
        emit(frame);
        if (signal.aborted) return;
        await this.options.sink.capacity();
      }
      watchdog.arm(this.deadlineMs);
    }
  }
}

async function settledWithin(work: Promise<void>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
    timer.unref();
  });
  await Promise.race([work, timeout]);
  clearTimeout(timer);
}

class Watchdog {
  private timer: NodeJS.Timeout | undefined;
  private readonly onExpiry: () => void;
  constructor(onExpiry: () => void) {
    this.onExpiry = onExpiry;
  }
  arm(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.onExpiry, ms);
    this.timer.unref();
  }
  disarm(): void {
    clearTimeout(this.timer);
  }
}
