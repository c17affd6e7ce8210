import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { deltaLine, snapshotLine } from './frames.ts';
import type { FeedMetrics, FeedTask } from './metrics.ts';
import {
  type FeedRow,
  type Head,
  type Page,
  type PageLimits,
  readDeltas,
  readHeads,
  readSnapshot,
  readTombstones,
  SNAPSHOT_START,
} from './rows.ts';
import { endSessions, findRevoked, type HeldSession, markSeen } from './sessions.ts';
import { createSlots } from './slots.ts';
import type { FeedStream } from './stream.ts';

export interface HubSettings {
  heartbeatMs: number;
  /** How long a socket may refuse to take more. */
  slowMs: number;
  pollMs: number;
  tickMs: number;
  delta: PageLimits;
  snapshot: PageLimits;
  /** Data planes in one delta statement. */
  batch: number;
  /** Of all their pages together: what one wake-up may hold in memory. */
  batchBytes: number;
  snapshotsAtOnce: number;
  /** Reconnects per second that a drain may cause. */
  reconnectsPerSecond: number;
}

export const HUB_DEFAULTS: HubSettings = {
  heartbeatMs: 15_000,
  slowMs: 30_000,
  pollMs: 10_000,
  tickMs: 1_000,
  delta: { rows: 500, bytes: 512 * 1024 },
  snapshot: { rows: 500, bytes: 512 * 1024 },
  batch: 200,
  batchBytes: 16 * 1024 * 1024,
  snapshotsAtOnce: 32,
  reconnectsPerSecond: 400,
};

export interface HubOptions {
  pool: Pool;
  metrics: FeedMetrics;
  settings: HubSettings;
  /** Monotonic milliseconds. */
  now: () => number;
  logger: Logger;
}

/** Once a minute; the API calls a link connected while the last mark is younger than three. */
const SEEN_EVERY_POLLS = 6;
const HEADS_PER_QUERY = 2_000;
const RETRY_MS = 250;
/** A long poll whose last read fails ends without a bookmark. */
const POLL_GRACE_MS = 10_000;

/**
 * The connected operators of this process and what each has been sent. A wake-up marks data planes
 * dirty; one statement reads the rows of all dirty ones; each page is encoded once and written.
 */
export class Hub {
  private readonly options: HubOptions;
  private readonly settings: HubSettings;
  private readonly streams = new Map<string, FeedStream>();
  private readonly dirty = new Set<string>();
  /** Streams that ended and of which the database does not know yet. */
  private ended: HeldSession[] = [];
  private readonly inSlot: ReturnType<typeof createSlots>;
  private flushing = false;
  private tickTimer: NodeJS.Timeout | undefined;
  private pollTimer: NodeJS.Timeout | undefined;
  private retryTimer: NodeJS.Timeout | undefined;
  private polls = 0;
  draining = false;

  constructor(options: HubOptions) {
    this.options = options;
    this.settings = options.settings;
    this.inSlot = createSlots(this.settings.snapshotsAtOnce);
  }

  get size(): number {
    return this.streams.size;
  }

  start(onPoll: () => Promise<void>): void {
    this.tickTimer = setInterval(() => this.tick(), this.settings.tickMs);
    const poll = async (): Promise<void> => {
      await Promise.all([this.poll(), onPoll()]).catch((error) => this.failed('poll', error));
      if (!this.draining) this.pollTimer = setTimeout(poll, this.settings.pollMs);
    };
    this.pollTimer = setTimeout(poll, this.settings.pollMs);
  }

  /** The stream holds its data plane's session; an older one of this process loses it. */
  attach(stream: FeedStream): void {
    this.streams.get(stream.dataPlaneId)?.fail('SUPERSEDED', SUPERSEDED);
    this.streams.set(stream.dataPlaneId, stream);
    this.options.metrics.streams.inc({ transport: stream.transport });
    stream.onUnblocked = () => this.mark(stream.dataPlaneId);
    stream.onClosed = () => {
      this.options.metrics.streams.dec({ transport: stream.transport });
      if (this.streams.get(stream.dataPlaneId) === stream) this.streams.delete(stream.dataPlaneId);
      // A long poll comes back at once: its link is as old as its last answer.
      if (stream.transport === 'stream') this.ended.push(stream);
    };
    const isSnapshot = stream.phase === 'snapshot';
    if (isSnapshot || stream.repair !== undefined) void this.inSlot(() => this.sendSnapshot(stream));
    if (!isSnapshot && stream.transport === 'stream') this.afterRead(stream);
    // Also when nothing is missing: a commit may have come between the claim and now.
    this.mark(stream.dataPlaneId);
  }

  wake(dataPlaneIds: readonly string[], source: 'local' | 'notify' | 'poll'): void {
    for (const id of dataPlaneIds) {
      if (!this.streams.has(id)) continue;
      this.options.metrics.wakes.inc({ source });
      this.mark(id);
    }
  }

  /** Everybody is asked to come back within a window wide enough for the other processes. */
  drainAll(): number {
    this.draining = true;
    clearInterval(this.tickTimer);
    clearTimeout(this.pollTimer);
    clearTimeout(this.retryTimer);
    const windowMs = Math.max(
      1_000,
      Math.ceil((this.streams.size / this.settings.reconnectsPerSecond) * 1_000),
    );
    const drained = this.streams.size;
    for (const stream of [...this.streams.values()]) this.drain(stream, 'shutdown', 0, windowMs);
    return drained;
  }

  /** The safety net under lost notifications: re-reads the counters of the connected data planes. */
  async poll(): Promise<void> {
    const { pool, metrics } = this.options;
    const connected = [...this.streams.values()];
    for (let start = 0; start < connected.length; start += HEADS_PER_QUERY) {
      const streams = connected.slice(start, start + HEADS_PER_QUERY);
      const ids = streams.map((stream) => stream.dataPlaneId);
      const heads = new Map((await readHeads(pool, ids)).map((head) => [head.dataPlaneId, head]));
      const revoked = await findRevoked(
        pool,
        streams.map((stream) => stream.keyId),
      );
      for (const stream of streams) {
        const head = heads.get(stream.dataPlaneId);
        if (!head || revoked.has(stream.keyId)) stream.fail('REVOKED', REVOKED);
        else if (this.stillHolds(stream, head) && head.head > stream.cursor && stream.phase === 'tail') {
          if (!this.dirty.has(stream.dataPlaneId) && !stream.blocked) metrics.wakes.inc({ source: 'poll' });
          this.mark(stream.dataPlaneId);
        }
      }
      if (this.polls % SEEN_EVERY_POLLS === 0) await markSeen(pool, streams);
    }
    this.polls += 1;
  }

  /** Tells the database which streams ended, all since the last time in one statement. */
  async endSessions(): Promise<void> {
    const { ended } = this;
    if (ended.length === 0) return;
    this.ended = [];
    await endSessions(this.options.pool, ended).catch((error) => {
      this.ended.push(...ended);
      this.failed('sessions', error);
    });
  }

  private mark(dataPlaneId: string): void {
    this.dirty.add(dataPlaneId);
    if (this.flushing || this.draining) return;
    this.flushing = true;
    // What is committed in the same turn of the loop shares one statement.
    setImmediate(() => void this.flush());
  }

  private async flush(): Promise<void> {
    try {
      for (;;) {
        const streams = this.takeDirty();
        if (streams.length === 0) break;
        const wants = streams.map(({ dataPlaneId, cursor }) => ({ dataPlaneId, since: cursor }));
        const pages = await readDeltas(this.options.pool, wants, this.shareOf(wants.length)).catch(
          (error) => {
            for (const { dataPlaneId } of wants) this.dirty.add(dataPlaneId);
            throw error;
          },
        );
        const readMs = this.options.now();
        for (const stream of streams) this.deliver(stream, pages.get(stream.dataPlaneId), readMs);
      }
      this.flushing = false;
    } catch (error) {
      this.failed('delta', error);
      if (!this.draining) this.retryTimer = setTimeout(() => void this.flush(), RETRY_MS);
    }
  }

  /** The more data planes are read at once, the smaller their pages; each gets one row at least. */
  private shareOf(dataPlanes: number): PageLimits {
    const { delta, batchBytes } = this.settings;
    return { ...delta, bytes: Math.min(delta.bytes, Math.ceil(batchBytes / dataPlanes)) };
  }

  /** Streams that want rows and can take them; a blocked one is marked again when it has room. */
  private takeDirty(): FeedStream[] {
    const taken: FeedStream[] = [];
    for (const id of this.dirty) {
      if (taken.length >= this.settings.batch) break;
      this.dirty.delete(id);
      const stream = this.streams.get(id);
      if (stream?.phase === 'tail' && !stream.blocked) taken.push(stream);
    }
    return taken;
  }

  private deliver(stream: FeedStream, page: Page | undefined, readMs: number): void {
    if (!stream.open) return;
    if (!page) {
      stream.fail('REVOKED', REVOKED);
      return;
    }
    const { head, rows, more } = page;
    if (!this.stillHolds(stream, head)) return;
    // Tombstones between its cursor and `compacted` are gone: only a new hello finds out what it missed.
    if (stream.cursor < head.compacted) {
      this.drain(stream, 'slow', 0, 1_000);
      return;
    }
    const { metrics, now } = this.options;
    const from = stream.cursor;
    const to = more ? BigInt(rows.at(-1)!.rev) : head.head;
    stream.known = head;
    if (to > from) {
      stream.cursor = to;
      stream.sentRows = true;
      stream.owesBookmark = true;
      stream.write(deltaLine({ from, to, complete: !more, rows }));
      const waited = (now() - readMs) / 1_000;
      for (const row of rows) metrics.delivery.observe(row.age + waited);
      metrics.rows.inc({ frame: 'delta' }, rows.length);
    }
    if (more && !stream.blocked) this.dirty.add(stream.dataPlaneId);
    else this.afterRead(stream);
  }

  /**
   * A poll that has rows, or has waited long enough, has its answer. A stream learns the digest at once
   * when it first catches up, later with the next tick, so that a burst shares one comparison.
   */
  private afterRead(stream: FeedStream): void {
    if (!stream.caughtUp || stream.repair !== undefined) return;
    if (stream.transport === 'stream') {
      if (!stream.bookmarked) stream.bookmark();
    } else if (stream.sentRows || this.options.now() >= stream.endsAtMs) {
      stream.bookmark();
      stream.finish();
    }
  }

  /** Of everything before the tail, or of some buckets beside it. */
  private async sendSnapshot(stream: FeedStream): Promise<void> {
    const { metrics } = this.options;
    const { repair } = stream;
    try {
      let page = 1;
      for await (const { at, rows, last } of this.snapshotPages(stream)) {
        stream.write(snapshotLine({ at, page, last, repair, rows }));
        metrics.rows.inc({ frame: 'snapshot' }, rows.length);
        page += 1;
        if (last && repair !== undefined) {
          stream.repair = undefined;
          stream.sentRows = true;
          stream.owesBookmark = true;
          this.afterRead(stream);
        } else if (last) {
          stream.cursor = at;
          stream.phase = 'tail';
          stream.sentRows = true;
          this.mark(stream.dataPlaneId);
        } else await stream.room();
      }
    } catch (error) {
      this.failed('snapshot', error);
      stream.fail('INTERNAL', 'the snapshot could not be read from the database; connect again');
    }
  }

  /** Live rows by key, then the tombstones up to where the snapshot began. Ends early with the stream. */
  private async *snapshotPages(
    stream: FeedStream,
  ): AsyncGenerator<{ at: bigint; rows: FeedRow[]; last: boolean }> {
    const { pool } = this.options;
    const { dataPlaneId, repair } = stream;
    const limits = this.settings.snapshot;
    let live = await readSnapshot(pool, dataPlaneId, SNAPSHOT_START, limits, repair);
    if (!this.isGood(stream, live)) return;
    const at = live.head.head;
    while (live.more) {
      yield { at, rows: live.rows, last: false };
      live = await readSnapshot(pool, dataPlaneId, live.next, limits, repair);
      if (!this.isGood(stream, live)) return;
    }
    // Most often there are few or none, and they fit beside the last live rows.
    let { rows } = live;
    let since = 0n;
    for (let more = true; more; rows = []) {
      const dead = await readTombstones(pool, dataPlaneId, since, at, limits);
      if (!this.isGood(stream, dead)) return;
      ({ more } = dead);
      since = BigInt(dead.rows.at(-1)?.rev ?? at);
      yield { at, rows: [...rows, ...dead.rows], last: !more };
    }
  }

  private isGood<P extends Page>(stream: FeedStream, page: P | undefined): page is P {
    if (!stream.open) return false;
    if (!page) stream.fail('REVOKED', REVOKED);
    return page !== undefined && this.stillHolds(stream, page.head);
  }

  private stillHolds(stream: FeedStream, head: Head): boolean {
    if (!stream.open) return false;
    if (head.session !== stream.session) stream.fail('SUPERSEDED', SUPERSEDED);
    else if (head.epoch !== stream.epoch) this.drain(stream, 'rotate', 0, 1_000);
    // The database went back in time under a running API: revisions come a second time. The next hello finds out.
    else if (head.head < stream.cursor) this.drain(stream, 'rotate', 0, 1_000);
    else return true;
    return false;
  }

  private drain(
    stream: FeedStream,
    reason: 'shutdown' | 'rotate' | 'slow',
    minMs: number,
    maxMs: number,
  ): void {
    this.options.metrics.drains.inc({ reason });
    stream.drain(reason, minMs, maxMs);
  }

  /** One timer for all heartbeats, ages, slow readers and ends of long polls. */
  private tick(): void {
    const { now, metrics } = this.options;
    const { heartbeatMs, slowMs, tickMs } = this.settings;
    const timeMs = now();
    let behind = 0;
    let lag = 0n;
    for (const stream of [...this.streams.values()]) {
      if (!stream.caughtUp) {
        behind += 1;
        const missing = stream.known.head - stream.cursor;
        if (missing > lag) lag = missing;
      }
      if (stream.blockedSinceMs !== undefined) {
        if (timeMs - stream.blockedSinceMs >= slowMs) this.drain(stream, 'slow', 1_000, 5_000);
      } else if (timeMs >= stream.endsAtMs && stream.phase !== 'snapshot') {
        if (stream.transport === 'stream') this.drain(stream, 'rotate', 0, 2_000);
        else if (timeMs >= stream.endsAtMs + POLL_GRACE_MS) stream.finish();
        else this.mark(stream.dataPlaneId);
      } else if (stream.transport === 'stream' && stream.owesBookmark) stream.bookmark();
      else if (timeMs - stream.lastWriteMs >= heartbeatMs - tickMs) stream.keepAlive();
    }
    void this.endSessions();
    metrics.behind.set(behind);
    metrics.lag.set(Number(lag));
  }

  private failed(task: FeedTask, error: unknown): void {
    this.options.metrics.errors.inc({ task });
    this.options.logger.error({ err: error, task }, 'feed work failed; it is retried');
  }
}

const SUPERSEDED =
  'another operator with the same or a newer term holds this data plane; if that is a mistake, stop it and restart this one';
const REVOKED =
  'the key of this operator was revoked or its data plane deleted; create a join token and join again';
