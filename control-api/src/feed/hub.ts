import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { FeedMetrics, FeedTask } from './metrics.ts';
import {
  type FeedRow,
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
  /** That a process admits, also of those that another one drains. */
  hellosPerSecond: number;
  /** Reconnects per second after a loss of all connections; who comes too early costs little, but not nothing. */
  returnsPerSecond: number;
  /** Nobody waits longer because of the others. */
  maxReturnMs: number;
  /**
   * Of so many streams the end is noticed at once, of the others when it is their turn or when a heartbeat can't be written:
   * to close ten thousand connections in one moment takes most of a second, in which nobody else is served.
   */
  listenedTo: number;
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
  hellosPerSecond: 260,
  returnsPerSecond: 1_000,
  maxReturnMs: 10_000,
  listenedTo: 500,
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
/** The rest is for those who come besides: whoever is put off takes longer than whoever comes later. */
const DRAINED_OF_HELLOS = 0.9;
/** When thousands end at once, tenants write in the same moment; who is back by its turn has another session. */
const ENDS_PER_TICK = 500;
const HEADS_PER_QUERY = 2_000;
const RETRY_MS = 250;

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
  private readonly ended: HeldSession[] = [];
  private readonly inSlot: ReturnType<typeof createSlots>;
  private flushing = false;
  private tickTimer: NodeJS.Timeout | undefined;
  private pollTimer: NodeJS.Timeout | undefined;
  private retryTimer: NodeJS.Timeout | undefined;
  private polls = 0;
  private listened = 0;
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
    const { dataPlaneId, transport } = stream.terms;
    this.streams.get(dataPlaneId)?.dispatch({ type: 'superseded' });
    this.streams.set(dataPlaneId, stream);
    this.options.metrics.streams.inc({ transport });
    stream.onRead = () => this.mark(dataPlaneId);
    stream.onClosed = () => {
      this.options.metrics.streams.dec({ transport });
      if (this.streams.get(dataPlaneId) === stream) this.streams.delete(dataPlaneId);
      // A long poll comes back at once: its link is as old as its last answer.
      if (transport === 'stream') this.ended.push(stream.terms);
    };
    if (stream.phase !== 'tail') void this.inSlot(() => this.sendSnapshot(stream));
    stream.dispatch({ type: 'attached' });
    // Also when nothing is missing: a commit may have come between the claim and now.
    this.mark(dataPlaneId);
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
    const windowMs = Math.max(1_000, this.msForAll(DRAINED_OF_HELLOS * this.settings.hellosPerSecond));
    const drained = this.streams.size;
    for (const stream of [...this.streams.values()]) stream.dispatch({ type: 'shutdown', windowMs });
    return drained;
  }

  /** The safety net under lost notifications: re-reads the counters of the connected data planes. */
  async poll(): Promise<void> {
    const { pool, metrics } = this.options;
    const connected = [...this.streams.values()];
    for (let start = 0; start < connected.length; start += HEADS_PER_QUERY) {
      const streams = connected.slice(start, start + HEADS_PER_QUERY);
      const links = streams.map(({ terms }) => terms);
      const ids = links.map(({ dataPlaneId }) => dataPlaneId);
      const heads = new Map((await readHeads(pool, ids)).map((head) => [head.dataPlaneId, head]));
      const revoked = await findRevoked(
        pool,
        links.map(({ keyId }) => keyId),
      );
      for (const stream of streams) {
        const { dataPlaneId, keyId } = stream.terms;
        const head = heads.get(dataPlaneId);
        const wasExpected = this.dirty.has(dataPlaneId) || !stream.reads;
        if (!head || revoked.has(keyId)) stream.dispatch({ type: 'revoked' });
        else stream.dispatch({ type: 'head', head });
        if (!wasExpected && this.dirty.has(dataPlaneId)) metrics.wakes.inc({ source: 'poll' });
      }
      if (this.polls % SEEN_EVERY_POLLS === 0) await markSeen(pool, links);
    }
    this.polls += 1;
  }

  /** Tells the database which streams ended, `most` of them in one statement. */
  async endSessions(most = Number.POSITIVE_INFINITY): Promise<void> {
    const ended = this.ended.splice(0, most);
    if (ended.length === 0) return;
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
        const wants = streams.map(({ terms, cursor }) => ({ dataPlaneId: terms.dataPlaneId, since: cursor }));
        const pages = await readDeltas(this.options.pool, wants, this.shareOf(wants.length)).catch(
          (error) => {
            for (const { dataPlaneId } of wants) this.dirty.add(dataPlaneId);
            throw error;
          },
        );
        const readMs = this.options.now();
        for (const stream of streams) {
          const page = pages.get(stream.terms.dataPlaneId);
          stream.dispatch(page ? { type: 'delta', page, readMs } : { type: 'revoked' });
        }
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
      if (stream?.reads) taken.push(stream);
    }
    return taken;
  }

  /** Of everything before the tail, or of some buckets beside it. */
  private async sendSnapshot(stream: FeedStream): Promise<void> {
    try {
      for await (const page of this.snapshotPages(stream)) {
        stream.dispatch({ type: 'page', ...page });
        if (!page.last) await stream.room();
      }
    } catch (error) {
      this.failed('snapshot', error);
      stream.dispatch({ type: 'unreadable' });
    }
  }

  /** Live rows by key, then the tombstones up to where the snapshot began. Ends early with the stream. */
  private async *snapshotPages(
    stream: FeedStream,
  ): AsyncGenerator<{ at: bigint; rows: FeedRow[]; last: boolean }> {
    const { pool } = this.options;
    const { dataPlaneId, repair } = stream.terms;
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

  /** Whether the stream goes on after what the page says of its data plane. */
  private isGood<P extends Page>(stream: FeedStream, page: P | undefined): page is P {
    stream.dispatch(page ? { type: 'head', head: page.head } : { type: 'revoked' });
    return page !== undefined && stream.open;
  }

  /** One timer for all heartbeats, ages, slow readers and ends of long polls. */
  private tick(): void {
    const { metrics } = this.options;
    let behind = 0;
    let lag = 0n;
    const reconnectWithinMs = this.returnWindowMs;
    const streams = [...this.streams.values()];
    this.listenInTurn(streams);
    for (const stream of streams) {
      const missing = stream.lag;
      if (missing !== undefined) behind += 1;
      if (missing !== undefined && missing > lag) lag = missing;
      stream.dispatch({ type: 'tick', reconnectWithinMs });
    }
    void this.endSessions(ENDS_PER_TICK);
    metrics.behind.set(behind);
    metrics.lag.set(Number(lag));
  }

  private listenInTurn(streams: readonly FeedStream[]): void {
    const { listenedTo } = this.settings;
    const from = this.listened < streams.length ? this.listened : 0;
    this.listened = from + listenedTo;
    for (const [index, stream] of streams.entries()) stream.listen(index >= from && index < this.listened);
  }

  /** Of who loses its connection: when this process ends, all of them do. */
  private get returnWindowMs(): number {
    const { returnsPerSecond, maxReturnMs } = this.settings;
    return Math.min(maxReturnMs, this.msForAll(returnsPerSecond));
  }

  private msForAll(perSecond: number): number {
    return Math.ceil((this.streams.size / perSecond) * 1_000);
  }

  private failed(task: FeedTask, error: unknown): void {
    this.options.metrics.errors.inc({ task });
    this.options.logger.error({ err: error, task }, 'feed work failed; it is retried');
  }
}
