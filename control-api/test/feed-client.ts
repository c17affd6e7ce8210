import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import {
  EMPTY_DIGEST,
  type Frame,
  formatDigest,
  frameSchema,
  type HelloFrame,
  type Op,
  PROTO,
  rowDigest,
} from '@felucca/contract';
import { type ApiProcess, type TestOperator, until } from './link-stage.ts';

export interface Position {
  epoch: string;
  cursor: string;
  digest: string;
}
export const NOTHING: Position = { epoch: '', cursor: '0', digest: EMPTY_DIGEST };

/** A small client of the protocol: applies frames with the revision guard and remembers everything. */
export class FeedReader {
  readonly frames: Frame[] = [];
  /** kind/key/id → newest operation. */
  readonly rows = new Map<string, Op>();
  /** Revisions in the order of arrival, tail only. */
  readonly tail: bigint[] = [];
  cursor = 0n;
  epoch = '';
  ended = false;
  status = 0;
  body = '';
  private call: ClientRequest | undefined;
  private answer: IncomingMessage | undefined;

  static async open(
    api: ApiProcess,
    operator: TestOperator,
    position: Position = NOTHING,
    options: {
      term?: number;
      wait?: number;
      from?: FeedReader;
      instance?: string;
      verify?: boolean;
      repair?: string;
    } = {},
  ): Promise<FeedReader> {
    const reader = new FeedReader();
    if (options.from) for (const [name, op] of options.from.rows) reader.rows.set(name, op);
    reader.cursor = BigInt(position.cursor);
    reader.epoch = position.epoch;
    const path = `/v1/data-planes/${operator.dataPlaneId}/sync`;
    const query = new URLSearchParams({
      proto: String(PROTO),
      epoch: position.epoch,
      cursor: position.cursor,
      digest: position.digest,
      term: String(options.term ?? 0),
      instance: options.instance ?? 'test-0',
    });
    if (options.wait !== undefined) query.set('wait', String(options.wait));
    if (options.verify) query.set('verify', '1');
    if (options.repair !== undefined) query.set('repair', options.repair);
    const authorization = await operator.authorization('GET', path);
    reader.call = request(`${api.url}${path}?${query}`, { headers: { authorization }, agent: false });
    reader.call.on('error', () => {
      reader.ended = true;
    });
    reader.call.on('response', (answer) => reader.read(answer));
    reader.call.end();
    await until('the API answers a sync request', () => reader.status !== 0 || reader.ended);
    return reader;
  }

  get hello(): HelloFrame {
    const [first] = this.frames;
    if (first?.type !== 'hello') throw new Error(`no hello but ${JSON.stringify(first)} ${this.body}`);
    return first;
  }
  get live(): Map<string, Op> {
    return new Map([...this.rows].filter(([, op]) => op.op === 'put'));
  }
  get digest(): string {
    let digest = 0n;
    for (const op of this.rows.values()) if (op.op === 'put') digest ^= rowDigest(op);
    return formatDigest(digest);
  }
  get position(): Position {
    return { epoch: this.epoch, cursor: String(this.cursor), digest: this.digest };
  }
  of<T extends Frame['type']>(type: T): Extract<Frame, { type: T }>[] {
    return this.frames.filter((frame): frame is Extract<Frame, { type: T }> => frame.type === type);
  }

  frame<T extends Frame['type']>(type: T, timeoutMs?: number): Promise<Extract<Frame, { type: T }>> {
    return until(`a ${type} frame arrives`, () => this.of(type)[0], timeoutMs);
  }
  reaches(head: bigint, timeoutMs?: number): Promise<true> {
    return until(
      `the cursor reaches ${head} (is ${this.cursor})`,
      () => this.cursor >= head || undefined,
      timeoutMs,
    ).then(() => true);
  }
  /** A bookmark at this cursor: rows and digest belong together there. */
  settled(head: bigint, timeoutMs?: number) {
    return until(
      `a bookmark names ${head}`,
      () => this.of('bookmark').find((mark) => mark.cursor === String(head)),
      timeoutMs,
    );
  }
  pause(): void {
    this.answer?.pause();
  }
  resume(): void {
    this.answer?.resume();
  }
  close(): void {
    this.call?.destroy();
  }

  private read(answer: IncomingMessage): void {
    this.answer = answer;
    this.status = answer.statusCode ?? 0;
    let rest = '';
    answer.setEncoding('utf8');
    answer.on('data', (chunk: string) => {
      this.body = this.status === 200 ? '' : this.body + chunk;
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      if (this.status === 200) for (const line of lines) this.take(frameSchema.parse(JSON.parse(line)));
    });
    const end = (): void => {
      this.ended = true;
    };
    answer.on('end', end);
    answer.on('error', end);
    answer.on('close', end);
  }

  private take(frame: Frame): void {
    this.frames.push(frame);
    if (frame.type === 'hello') {
      if (frame.mode === 'resume' && frame.epoch !== this.epoch) this.cursor = BigInt(frame.head);
      this.epoch = frame.epoch;
      if (frame.mode === 'reset') this.rows.clear();
    } else if (frame.type === 'snapshot') {
      for (const op of frame.ops) this.apply(op);
      if (frame.last && frame.repair === undefined) this.cursor = BigInt(frame.at);
    } else if (frame.type === 'delta') {
      if (BigInt(frame.from) !== this.cursor)
        throw new Error(`gap: delta from ${frame.from}, cursor ${this.cursor}`);
      for (const op of frame.ops) {
        if (BigInt(op.rev) <= this.cursor || BigInt(op.rev) > BigInt(frame.to))
          throw new Error(`revision ${op.rev} outside of (${frame.from}, ${frame.to}]`);
        this.tail.push(BigInt(op.rev));
        this.apply(op);
      }
      this.cursor = BigInt(frame.to);
    }
  }
  private apply(op: Op): void {
    const name = `${op.kind}/${op.key}/${op.id}`;
    const held = this.rows.get(name);
    if (!held || BigInt(op.rev) > BigInt(held.rev)) this.rows.set(name, op);
  }
}
