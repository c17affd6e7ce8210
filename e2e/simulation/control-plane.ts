import { type HelloFrame, PROTO, type ReportReply, reportSchema, syncQuerySchema } from '@felucca/contract';
import { frameLine } from '@felucca/control-api/feed/frames';
import type { FeedMetrics } from '@felucca/control-api/feed/metrics';
import { decideResume, type ResumeDecision } from '@felucca/control-api/feed/resume';
import type { Head } from '@felucca/control-api/feed/rows';
import { FeedStream, type StreamSocket } from '@felucca/control-api/feed/stream';
import type { ApiAnswer, ApiClient } from '@felucca/operator/sync/api-client';
import { DATA_PLANE_ID, type Database } from './database.ts';

const PAGE = 2;
const TICK_MS = 1_000;
const POLL_MS = 10_000;

export interface LinkRules {
  /** Milliseconds that bytes are on their way. */
  delayMs: () => number;
  /** Whether a wake-up after a commit arrives. */
  wakes: () => boolean;
}

/** One process of the control API over the simulated database: the real resume table, streams and frames. */
export class ControlPlane {
  private readonly database: Database;
  private readonly rules: LinkRules;
  private readonly metrics: FeedMetrics;
  private connection: Connection | undefined;
  private sessions = 0;
  private term = 0;
  private seq = 0;
  private lastReply: ReportReply | undefined;
  private reading = false;
  away = false;
  /** Keys whose newest row was refused. */
  readonly refused = new Set<string>();
  /** What each hello that was answered got, in order. */
  readonly answers: HelloFrame['mode'][] = [];
  /** Connections that were asked for, answered or not. */
  connects = 0;

  constructor(database: Database, rules: LinkRules, metrics: FeedMetrics) {
    this.database = database;
    this.rules = rules;
    this.metrics = metrics;
    setInterval(() => this.connection?.stream.dispatch({ type: 'tick', reconnectWithinMs: 0 }), TICK_MS);
    setInterval(() => {
      if (!this.away) this.connection?.stream.dispatch({ type: 'head', head: database.head });
    }, POLL_MS);
  }

  /** A transaction has committed. */
  committed(): void {
    if (this.rules.wakes()) this.read();
  }
  /** Whatever is on the way is lost. */
  cut(): void {
    this.connection?.cut();
  }
  shutdown(): void {
    this.connection?.stream.dispatch({ type: 'shutdown', windowMs: 1_000 });
  }

  client(signal: AbortSignal): ApiClient {
    const open = (_path: string, query: Record<string, string>, _: unknown, ended: AbortSignal) =>
      this.open(query, AbortSignal.any([signal, ended]));
    const postJson = (_path: string, body: string) => this.report(body, signal);
    const answer = async () => ({ status: 503, retryAfter: '1', body: {} });
    return { open, postJson, answer } as unknown as ApiClient;
  }

  private async open(text: Record<string, string>, signal: AbortSignal): Promise<unknown> {
    await wait(this.rules.delayMs());
    this.connects += 1;
    if (signal.aborted || this.away) throw new Error('connection refused');
    const query = syncQuerySchema.parse(text);
    if (query.term < this.term) return new Connection(this.rules, signal).say(SUPERSEDED);
    this.term = query.term;
    this.sessions += 1;
    this.seq = 0;
    const session = `s${this.sessions}`;
    this.database.session = session;
    const head = this.database.head;
    const decision = this.decide(query, head);
    this.answers.push(decision.mode);
    const connection = new Connection(this.rules, signal);
    if (decision.mode === 'verify')
      return connection.say(hello(head, session, { mode: 'verify', buckets: this.database.buckets }));
    if (decision.mode === 'reset' && decision.newEpoch) this.database.mint();
    const now = this.database.head;
    const repair = decision.mode === 'resume' ? decision.repair : undefined;
    const stream = connection.begin(
      new FeedStream({
        terms: {
          dataPlaneId: DATA_PLANE_ID,
          keyId: 'key',
          session,
          transport: query.wait === undefined ? 'stream' : 'poll',
          epoch: now.epoch,
          repair,
          endsAtMs: Date.now() + (query.wait === undefined ? 300_000 : query.wait * 1_000),
          heartbeatMs: 15_000,
          slowMs: 30_000,
          tickMs: TICK_MS,
        },
        start:
          decision.mode === 'reset'
            ? { phase: 'snapshot', cursor: 0n, head: now }
            : { phase: repair === undefined ? 'tail' : 'repair', cursor: decision.from, head: now },
        socket: connection,
        metrics: this.metrics,
        now: () => Date.now(),
      }),
    );
    stream.greet(
      frameLine(
        hello(now, session, {
          mode: decision.mode,
          ...(decision.mode === 'reset' ? { reason: decision.reason } : {}),
          ...(repair === undefined ? {} : { repair }),
        }),
      ),
    );
    this.connection?.stream.dispatch({ type: 'superseded' });
    this.connection = connection;
    stream.onRead = () => this.read();
    if (stream.phase !== 'tail') void this.sendSnapshot(stream);
    stream.dispatch({ type: 'attached' });
    this.read();
    return connection;
  }

  private decide(query: ReturnType<typeof syncQuerySchema.parse>, head: Head): ResumeDecision {
    const { epoch, digest, repair } = query;
    const operator = { epoch, cursor: BigInt(query.cursor), digest, canVerify: query.verify !== undefined };
    return decideResume(repair === undefined ? operator : { ...operator, repair }, head);
  }

  private read(): void {
    if (this.reading) return;
    this.reading = true;
    setTimeout(() => {
      this.reading = false;
      const stream = this.connection?.stream;
      if (!stream?.reads || this.away) return;
      const page = this.database.delta(stream.cursor, PAGE);
      stream.dispatch({ type: 'delta', page, readMs: Date.now() });
    }, this.rules.delayMs());
  }

  private async sendSnapshot(stream: FeedStream): Promise<void> {
    const { repair } = stream.terms;
    const { head: at } = this.database.head;
    let after = '';
    for (let more = true; more; ) {
      await wait(this.rules.delayMs());
      const page = this.database.snapshot(after, PAGE, repair);
      stream.dispatch({ type: 'head', head: page.head });
      if (!stream.open) return;
      ({ more, next: after } = page);
      const rows = more ? page.rows : [...page.rows, ...this.database.tombstones(at)];
      stream.dispatch({ type: 'page', at, rows, last: !more });
    }
  }

  private async report(body: string, signal: AbortSignal): Promise<ApiAnswer> {
    await wait(this.rules.delayMs());
    if (signal.aborted || this.away) throw new Error('connection refused');
    const answer = this.take(reportSchema.parse(JSON.parse(body)));
    const arrives = this.rules.wakes();
    await wait(this.rules.delayMs());
    if (!arrives) throw new Error('the answer got lost');
    return answer;
  }

  private reissue(): void {
    if (this.database.reissueOvertaken()) this.committed();
  }

  private take(report: ReturnType<typeof reportSchema.parse>): ApiAnswer {
    const { epoch, head } = this.database.head;
    const isCurrent =
      report.session === this.database.session && report.epoch === epoch && report.term >= this.term;
    const isOurs = !report.ack || BigInt(report.ack.cursor) <= head;
    if (!isCurrent || !isOurs) return { status: 409, retryAfter: undefined, body: {} };
    if (report.unknown.length > 0) setTimeout(() => this.reissue(), this.rules.delayMs());
    if (report.seq === this.seq) return { status: 200, retryAfter: undefined, body: this.lastReply };
    this.seq = report.seq;
    this.database.observeUnknown(report.unknown);
    const rejected = report.status.flatMap((item) => {
      const reason = this.database.observe(item, report.session);
      return reason === undefined ? [] : [{ kind: item.kind, key: item.key, reason }];
    });
    for (const nack of report.nacks) {
      this.refused.add(nack.key);
      if (!this.database.refuse(nack))
        rejected.push({ kind: nack.kind, key: nack.key, reason: 'no such revision in the feed' });
    }
    if (report.ack) this.database.acked = { epoch, cursor: BigInt(report.ack.cursor) };
    this.lastReply = { seq: report.seq, accepted: report.status.length - rejected.length, rejected };
    return { status: 200, retryAfter: undefined, body: this.lastReply };
  }
}

const SUPERSEDED = {
  type: 'error',
  code: 'SUPERSEDED',
  message: 'a newer term holds this data plane',
  retryable: false,
} as const;

const hello = (
  { epoch, head, digest, compacted }: Head,
  session: string,
  parts: Pick<HelloFrame, 'mode' | 'reason' | 'repair' | 'buckets'>,
): HelloFrame => ({
  type: 'hello',
  proto: PROTO,
  dataPlaneId: DATA_PLANE_ID,
  session,
  epoch,
  head: String(head),
  digest,
  compacted: String(compacted),
  heartbeatSeconds: 15,
  maxAgeSeconds: 300,
  ...parts,
});

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Bytes from one process to the other, late and in order; a cut loses what is on the way, in the middle of a line. */
class Connection implements StreamSocket {
  readonly socket = null;
  readonly statusCode = 200;
  stream!: FeedStream;
  private readonly rules: LinkRules;
  private arrived: Buffer[] = [];
  private over: Error | 'end' | undefined;
  private wake: () => void = () => {};
  private readonly listeners = { drain: [] as (() => void)[], close: [] as (() => void)[] };
  private onTheWay = 0;
  private last: Promise<void> = Promise.resolve();

  constructor(rules: LinkRules, signal: AbortSignal) {
    this.rules = rules;
    signal.addEventListener('abort', () => this.finish(new Error('aborted')));
  }
  begin(stream: FeedStream): FeedStream {
    this.stream = stream;
    return stream;
  }
  say(frame: Parameters<typeof frameLine>[0]): this {
    this.end(frameLine(frame));
    return this;
  }

  write(text: string): boolean {
    this.onTheWay += 1;
    const travel = wait(this.rules.delayMs());
    this.last = this.last.then(() => travel).then(() => this.arrive(text));
    return this.onTheWay < 4;
  }
  end(text?: string): void {
    if (text !== undefined) this.write(text);
    this.last = this.last.then(() => this.finish('end'));
  }
  destroy(): void {
    this.finish(new Error('destroyed'));
  }
  cut(): void {
    this.finish(new Error('reset by peer'));
  }
  once(event: 'drain' | 'close', listener: () => void): void {
    this.listeners[event].push(listener);
  }

  private arrive(text: string): void {
    this.onTheWay -= 1;
    if (this.over) return;
    const half = Math.floor(text.length / 2);
    this.arrived.push(Buffer.from(text.slice(0, half)), Buffer.from(text.slice(half)));
    this.wake();
    if (this.onTheWay === 0) for (const listener of this.listeners.drain.splice(0)) listener();
  }
  private finish(how: Error | 'end'): void {
    if (this.over) return;
    this.over = how;
    this.wake();
    for (const listener of this.listeners.close.splice(0)) listener();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    for (;;) {
      const chunk = this.arrived.shift();
      if (chunk) yield chunk;
      else if (this.over === 'end') return;
      else if (this.over) throw this.over;
      else await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}
