import { type DelOp, PROTO, type PutOp, type ReportInput, type StatusItem } from '@felucca/contract';
import { backoffWindow, drawMs, retryAfterMs } from '@felucca/operator/sync/backoff';
import type { Answer } from './http.ts';
import type { Identity } from './identity.ts';
import type { Lines } from './lines.ts';

/** As the operator's reporter has it. */
const COALESCE_MS = 120;

/** What of an Instance an operator says that has just become Ready, in the shape and size of the real thing. */
export function readyStatus(row: Pick<PutOp, 'kind' | 'key' | 'id' | 'generation' | 'hash'>, seq: number) {
  const { kind, key, id, generation, hash } = row;
  const at = new Date().toISOString().replace(/\.\d{3}Z$/, 'Z');
  const common = { observedGeneration: generation, lastTransitionTime: at };
  return {
    kind,
    key,
    id,
    local: false,
    generation,
    digest: hash,
    observedSeq: seq,
    conditions: [
      {
        type: 'Ready',
        status: 'True',
        reason: 'AllChildrenReady',
        message: 'all 3 children are ready',
        ...common,
      },
      { type: 'Synced', status: 'True', reason: 'InSync', message: '', ...common },
    ],
    ...(kind === 'Instance' ? { outputs: { endpoint: { value: `${key}.example:5432` } } } : {}),
    appliedAt: at,
    readyAt: at,
  } satisfies StatusItem;
}

/** Sends what is pending as the operator does: the same body under the same number until it is accepted. */
export class Reports {
  onSessionRefused: () => void = () => {};
  private readonly identity: Identity;
  private readonly lines: Lines;
  private readonly count: (what: string) => void;
  private session: { id: string; epoch: string; seq: number } | undefined;
  private ack: ReportInput['ack'];
  private items = new Map<string, StatusItem>();
  private timer: NodeJS.Timeout | undefined;
  private sending = false;
  private observedSeq = 0;

  constructor(identity: Identity, lines: Lines, count: (what: string) => void) {
    this.identity = identity;
    this.lines = lines;
    this.count = count;
  }

  sessionStarted(id: string, epoch: string): void {
    this.session = { id, epoch, seq: 0 };
    this.schedule();
  }
  sessionEnded(): void {
    this.session = undefined;
  }
  stop(): void {
    clearTimeout(this.timer);
    this.session = undefined;
  }
  observed(row: PutOp): void {
    if (row.kind === 'Instance') this.items.set(row.id, readyStatus(row, ++this.observedSeq));
  }
  ended({ kind, key, id, generation }: DelOp): void {
    if (kind !== 'Instance') return;
    const common = { kind, key, id, local: false, generation, digest: '', observedSeq: ++this.observedSeq };
    this.items.set(id, { ...common, deleted: true, conditions: [] });
    this.schedule();
  }
  acknowledge(cursor: string, digest: string): void {
    this.ack = { cursor, digest };
    this.schedule();
  }

  /** One report of these items now; for a flood, which sends nothing else. */
  send(status: StatusItem[]): Promise<Answer> {
    const { session } = this;
    if (!session) return Promise.reject(new Error('no session'));
    session.seq += 1;
    return this.post(JSON.stringify(this.report(session, { status })));
  }
  nextObservedSeq(): number {
    return ++this.observedSeq;
  }

  private schedule(): void {
    if (!this.session || this.sending || this.timer || (!this.ack && this.items.size === 0)) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.sending = true;
      void this.deliver().finally(() => {
        this.sending = false;
        this.schedule();
      });
    }, COALESCE_MS);
  }

  private async deliver(): Promise<void> {
    const { session, ack, items } = this;
    if (!session) return;
    this.ack = undefined;
    this.items = new Map();
    session.seq += 1;
    const batch = { status: [...items.values()].slice(0, 500), ...(ack ? { ack } : {}) };
    for (const item of [...items.values()].slice(500)) this.items.set(item.id, item);
    const body = JSON.stringify(this.report(session, batch));
    for (let attempt = 0; this.session === session; attempt += 1) {
      const answer = await this.post(body).catch(() => undefined);
      this.count(`report ${answer?.status ?? 'lost'}`);
      if (answer?.status === 200) return;
      if (answer?.status === 409 && this.session === session) this.onSessionRefused();
      if (this.session === session) await pause(attempt, answer);
    }
    // Of another session now: what has not been replaced by something newer is said again.
    for (const item of batch.status) if (!this.items.has(item.id)) this.items.set(item.id, item);
    this.ack ??= ack;
  }

  private post(body: string): Promise<Answer> {
    const path = `/v1/data-planes/${this.identity.dataPlaneId}/reports`;
    return this.lines.call(() => ({
      method: 'POST',
      path,
      headers: { authorization: this.identity.authorization('POST', path) },
      body,
    }));
  }

  private report(session: { id: string; epoch: string; seq: number }, batch: Partial<ReportInput>) {
    const { id, epoch, seq } = session;
    return { proto: PROTO, session: id, epoch, seq, term: 1, ...batch } satisfies ReportInput;
  }
}

function pause(attempt: number, answer: Answer | undefined): Promise<void> {
  const asked = retryAfterMs(answer?.headers.get('retry-after'), Date.now()) ?? 0;
  const ms = asked + drawMs(backoffWindow(attempt), Math.random);
  return new Promise((resolve) => setTimeout(resolve, ms));
}
