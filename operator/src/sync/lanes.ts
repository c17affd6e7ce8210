/** What one attempt came to. `settled`: the feed may move on although the job goes on in the background. */
export type LaneOutcome = 'done' | { retryInMs: number; settled: boolean };

/** Between attempts at several things of one name. */
const TOGETHER_MS = 1_000;

/** What is left of several things that are tried together. None of them has haste that the others have not. */
export function together(outcomes: readonly LaneOutcome[]): LaneOutcome {
  const waiting = outcomes.filter((outcome) => outcome !== 'done');
  if (waiting.length === 0) return 'done';
  const soonestMs = Math.min(...waiting.map(({ retryInMs }) => retryInMs));
  return {
    retryInMs: waiting.length > 1 ? Math.max(soonestMs, TOGETHER_MS) : soonestMs,
    settled: waiting.every(({ settled }) => settled),
  };
}

export interface LaneJob {
  /** Must not throw; a throw counts as a surprise and is retried slowly. */
  run(attempt: number): Promise<LaneOutcome>;
}

interface Pending {
  job: LaneJob;
  attempt: number;
  settle: () => void;
}

interface Lane {
  pending: Pending | undefined;
  wake: (() => void) | undefined;
}

const SURPRISE_RETRY_MS = 10_000;

/**
 * Jobs of one name run one after the other and the newest replaces a waiting older one; different names run
 * side by side, bounded. A job that backs off holds no slot.
 */
export class Lanes {
  private readonly lanes = new Map<string, Lane>();
  private readonly waiters: (() => void)[] = [];
  private free: number;
  private unsettled = 0;
  private idleWaiters: (() => void)[] = [];
  private roomWaiters: { limit: number; resolve: () => void }[] = [];
  private stopped = false;
  private readonly onSurprise: (name: string, error: unknown) => void;
  /** A lane ran empty: whoever ignored events of that name while it was busy looks again. */
  onFree: (name: string) => void = () => {};

  constructor(concurrency: number, onSurprise: (name: string, error: unknown) => void) {
    this.free = concurrency;
    this.onSurprise = onSurprise;
  }

  /** What the job of this name waits for may have happened: its next attempt is now. */
  hurry(name: string): void {
    this.lanes.get(name)?.wake?.();
  }
  /** Jobs whose outcome is not durable yet. */
  get depth(): number {
    return this.unsettled;
  }
  busy(name: string): boolean {
    return this.lanes.has(name);
  }

  /** Resolves when the job is done, NACKed, or replaced by one that is. */
  submit(name: string, job: LaneJob): Promise<void> {
    if (this.stopped) return new Promise(() => {});
    this.unsettled += 1;
    return new Promise((resolve) => {
      let settled = false;
      const settle = (): void => {
        if (settled) return;
        settled = true;
        this.unsettled -= 1;
        resolve();
        this.wakeWaiters();
      };
      this.enqueue(name, job, settle);
    });
  }

  /** Resolves when every job submitted so far has settled. */
  idle(): Promise<void> {
    if (this.unsettled === 0) return Promise.resolve();
    return new Promise((resolve) => this.idleWaiters.push(resolve));
  }

  /** Resolves when fewer than `limit` jobs are unsettled, whoever submitted them. */
  room(limit: number): Promise<void> {
    if (this.unsettled < limit) return Promise.resolve();
    return new Promise((resolve) => this.roomWaiters.push({ limit, resolve }));
  }

  stop(): void {
    this.stopped = true;
    for (const lane of this.lanes.values()) lane.wake?.();
  }

  private enqueue(name: string, job: LaneJob, settle: () => void): void {
    const lane = this.lanes.get(name);
    if (!lane) {
      const fresh: Lane = { pending: { job, attempt: 0, settle }, wake: undefined };
      this.lanes.set(name, fresh);
      void this.drive(name, fresh);
      return;
    }
    // The replaced job's place in the feed is covered by the newer one, so both settle together.
    const replaced = lane.pending?.settle;
    const both = replaced
      ? () => {
          replaced();
          settle();
        }
      : settle;
    lane.pending = { job, attempt: 0, settle: both };
    lane.wake?.();
  }

  private async drive(name: string, lane: Lane): Promise<void> {
    while (lane.pending && !this.stopped) {
      const pending = lane.pending;
      const outcome = await this.attempt(name, pending);
      if (this.stopped) break;
      if (outcome === 'done') {
        pending.settle();
        if (lane.pending === pending) lane.pending = undefined;
        continue;
      }
      if (outcome.settled) pending.settle();
      pending.attempt += 1;
      if (lane.pending === pending) await this.pause(lane, outcome.retryInMs);
    }
    this.lanes.delete(name);
    if (!this.stopped) this.onFree(name);
  }

  private async attempt(name: string, pending: Pending): Promise<LaneOutcome> {
    await this.acquire();
    try {
      return await pending.job.run(pending.attempt);
    } catch (error) {
      this.onSurprise(name, error);
      // Settled: a bug that one object meets must not hold up all others.
      return { retryInMs: SURPRISE_RETRY_MS, settled: true };
    } finally {
      this.release();
    }
  }

  private pause(lane: Lane, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, ms);
      timer.unref();
      function done(): void {
        clearTimeout(timer);
        lane.wake = undefined;
        resolve();
      }
      lane.wake = done;
    });
  }

  private acquire(): Promise<void> {
    if (this.free > 0) {
      this.free -= 1;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.waiters.push(resolve));
  }

  private release(): void {
    const next = this.waiters.shift();
    if (next) next();
    else this.free += 1;
  }

  private wakeWaiters(): void {
    if (this.roomWaiters.length > 0) {
      const waiting = this.roomWaiters;
      this.roomWaiters = waiting.filter(({ limit }) => this.unsettled >= limit);
      for (const { limit, resolve } of waiting) if (this.unsettled < limit) resolve();
    }
    if (this.unsettled > 0) return;
    const waiters = this.idleWaiters;
    this.idleWaiters = [];
    for (const resolve of waiters) resolve();
  }
}
