import type { FeedMetrics } from './metrics.ts';
import type { FeedRow, Head } from './rows.ts';
import {
  initialStream,
  isCaughtUp,
  type StreamEffect,
  type StreamEvent,
  type StreamPhase,
  type StreamState,
  type StreamTerms,
} from './stream-state.ts';
import { stepStream } from './stream-transitions.ts';

/** What a stream uses of http.ServerResponse. */
export interface StreamSocket {
  write(text: string): boolean;
  end(text?: string): unknown;
  destroy(): unknown;
  once(event: 'drain' | 'close', listener: () => void): unknown;
  /** Whose end is noticed only while it is read; http starts and stops its reading with these. */
  readonly socket: { pause(): unknown; resume(): unknown } | null;
}

export interface StreamOptions {
  terms: StreamTerms;
  start: { phase: 'snapshot' | 'repair' | 'tail'; cursor: bigint; head: Head };
  socket: StreamSocket;
  metrics: FeedMetrics;
  /** Monotonic milliseconds. */
  now: () => number;
}

type Input = StreamEvent extends infer E ? (E extends StreamEvent ? Omit<E, 'nowMs'> : never) : never;

/** The socket of one connected operator: performs what the machine says (stream-transitions.ts), in order. */
export class FeedStream {
  readonly terms: StreamTerms;
  private state: StreamState;
  private readonly options: StreamOptions;
  private waiting: (() => void)[] = [];
  private listens = true;
  /** Rows above the cursor are wanted. */
  onRead: () => void = () => {};
  onClosed: () => void = () => {};

  constructor(options: StreamOptions) {
    const { terms, start, socket, now } = options;
    this.options = options;
    this.terms = terms;
    this.state = initialStream(start.phase, start.cursor, start.head, now());
    socket.once('close', () => this.dispatch({ type: 'socketClosed' }));
  }

  get open(): boolean {
    return this.state.phase !== 'closed';
  }
  get phase(): StreamPhase {
    return this.state.phase;
  }
  /** A page that is read for it now would be taken. */
  get reads(): boolean {
    const { phase } = this.state;
    return (phase === 'tail' || phase === 'repair') && !this.blocked;
  }
  get blocked(): boolean {
    return this.state.blockedSinceMs !== undefined;
  }
  get cursor(): bigint {
    return this.state.cursor;
  }
  /** Revisions that it has not been sent, as far as is known; undefined once it has all. */
  get lag(): bigint | undefined {
    const { known, cursor } = this.state;
    return isCaughtUp(this.state) ? undefined : known.head - cursor;
  }

  dispatch(event: Input): void {
    const wasOpen = this.open;
    const step = stepStream(this.state, { ...event, nowMs: this.options.now() } as StreamEvent, this.terms);
    this.state = step.state;
    for (const effect of step.effects) this.perform(effect);
    if (!wasOpen || this.open) return;
    this.release();
    this.onClosed();
  }

  /** Resolves when there is room again, or when the stream is over. */
  room(): Promise<void> {
    if (!this.blocked || !this.open) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** Whether the end of its connection is noticed at once, or with the next line that can't be written. */
  listen(listens: boolean): void {
    if (listens === this.listens) return;
    this.listens = listens;
    const { socket } = this.options.socket;
    if (listens) socket?.resume();
    else socket?.pause();
  }

  /** The first line, before anything can have happened. */
  greet(line: string): void {
    this.write(line);
  }

  private perform(effect: StreamEffect): void {
    const { metrics } = this.options;
    switch (effect.do) {
      case 'write':
        this.write(effect.line);
        break;
      case 'end':
        if (effect.drained) metrics.drains.inc({ reason: effect.drained });
        this.end(effect.line);
        break;
      case 'read':
        this.onRead();
        break;
      case 'sent':
        metrics.rows.inc({ frame: effect.frame }, effect.rows.length);
        if (effect.frame === 'delta') this.observeDelivery(effect);
        break;
    }
  }

  private observeDelivery({ rows, readMs }: { rows: readonly FeedRow[]; readMs: number }): void {
    const waited = (this.options.now() - readMs) / 1_000;
    for (const row of rows) this.options.metrics.delivery.observe(row.age + waited);
  }

  private write(line: string): void {
    const { socket } = this.options;
    if (socket.write(line) || this.blocked) return;
    this.dispatch({ type: 'full' });
    socket.once('drain', () => {
      this.dispatch({ type: 'room' });
      this.release();
    });
  }

  private end(line?: string): void {
    const { socket } = this.options;
    // The connection may serve another request.
    this.listen(true);
    if (line === undefined) socket.end();
    else socket.end(line);
    const timer = setTimeout(() => socket.destroy(), 2_000);
    timer.unref();
    socket.once('close', () => clearTimeout(timer));
  }

  private release(): void {
    const { waiting } = this;
    this.waiting = [];
    for (const resolve of waiting) resolve();
  }
}
