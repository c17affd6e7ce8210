import type { Frame } from '@felucca/contract';
import { frameLine } from './frames.ts';
import type { Head } from './rows.ts';

/** What a stream uses of http.ServerResponse. */
export interface StreamSocket {
  write(text: string): boolean;
  end(text?: string): unknown;
  destroy(): unknown;
  once(event: 'drain' | 'close', listener: () => void): unknown;
}

export interface StreamIdentity {
  dataPlaneId: string;
  keyId: string;
  session: string;
  transport: 'stream' | 'poll';
}

type DrainReason = Extract<Frame, { type: 'drain' }>['reason'];

/**
 * One connected operator. It holds a cursor and no queue: what it has not been sent yet is in
 * Postgres, so an operator that reads slowly costs one page of memory.
 */
export class FeedStream {
  readonly dataPlaneId: string;
  readonly keyId: string;
  readonly session: string;
  readonly transport: 'stream' | 'poll';
  readonly epoch: string;
  /** Everything up to here has been written. */
  cursor: bigint;
  /** The counter row as last read; digest and count are those of `known.head`. */
  known: Head;
  phase: 'snapshot' | 'tail' | 'closed';
  /** Written to faster than read: since when. */
  blockedSinceMs: number | undefined;
  lastWriteMs: number;
  owesBookmark = true;
  bookmarked = false;
  /** Buckets whose rows it still has to be sent beside the tail. */
  repair: string | undefined;
  sentRows = false;
  readonly endsAtMs: number;
  private readonly socket: StreamSocket;
  private readonly now: () => number;
  private unblocked: (() => void)[] = [];
  /** The socket took everything; the hub reads on. */
  onUnblocked: () => void = () => {};
  onClosed: () => void = () => {};

  constructor(
    identity: StreamIdentity,
    position: { head: Head; cursor: bigint; reset: boolean; repair?: string | undefined; endsAtMs: number },
    socket: StreamSocket,
    now: () => number,
  ) {
    this.dataPlaneId = identity.dataPlaneId;
    this.keyId = identity.keyId;
    this.session = identity.session;
    this.transport = identity.transport;
    this.epoch = position.head.epoch;
    this.known = position.head;
    this.cursor = position.cursor;
    this.phase = position.reset ? 'snapshot' : 'tail';
    this.repair = position.repair;
    this.endsAtMs = position.endsAtMs;
    this.socket = socket;
    this.now = now;
    this.lastWriteMs = now();
    socket.once('close', () => this.closed());
  }

  get blocked(): boolean {
    return this.blockedSinceMs !== undefined;
  }
  get open(): boolean {
    return this.phase !== 'closed';
  }
  get caughtUp(): boolean {
    return this.phase === 'tail' && this.cursor === this.known.head;
  }

  write(line: string): void {
    if (!this.open) return;
    this.lastWriteMs = this.now();
    if (this.socket.write(line) || this.blocked) return;
    this.blockedSinceMs = this.lastWriteMs;
    this.socket.once('drain', () => {
      this.blockedSinceMs = undefined;
      this.release();
      if (this.open) this.onUnblocked();
    });
  }

  /** Resolves when there is room again, or when the stream is over. */
  room(): Promise<void> {
    if (!this.blocked || !this.open) return Promise.resolve();
    return new Promise((resolve) => this.unblocked.push(resolve));
  }

  /** Cursor and digest belong together only at the head; elsewhere a bookmark would say something false. */
  bookmark(): void {
    if (!this.caughtUp) return;
    this.owesBookmark = false;
    this.bookmarked = true;
    const { cursor, known } = this;
    this.write(
      frameLine({ type: 'bookmark', cursor: String(cursor), digest: known.digest, count: known.count }),
    );
  }

  /** Bytes for the operator's watchdog while its snapshot waits for its turn. */
  keepAlive(): void {
    if (this.phase === 'snapshot')
      this.write(frameLine({ type: 'bookmark', cursor: '0', digest: this.known.digest, count: 0 }));
    else this.bookmark();
  }

  drain(reason: DrainReason, retryMinMs: number, retryMaxMs: number): void {
    this.finish(frameLine({ type: 'drain', reason, retryMinMs, retryMaxMs }));
  }

  fail(code: 'SUPERSEDED' | 'REVOKED' | 'INTERNAL', message: string): void {
    this.finish(frameLine({ type: 'error', code, message, retryable: code === 'INTERNAL' }));
  }

  /** Ends after what has been written; a peer that does not read loses the socket soon after. */
  finish(line?: string): void {
    if (!this.open) return;
    this.closed();
    if (line === undefined) this.socket.end();
    else this.socket.end(line);
    const timer = setTimeout(() => this.socket.destroy(), 2_000);
    timer.unref();
    this.socket.once('close', () => clearTimeout(timer));
  }

  private closed(): void {
    if (!this.open) return;
    this.phase = 'closed';
    this.release();
    this.onClosed();
  }
  private release(): void {
    const { unblocked } = this;
    this.unblocked = [];
    for (const resolve of unblocked) resolve();
  }
}
