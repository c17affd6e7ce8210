import { exponentialMs } from './backoff.ts';
import { type Clock, systemClock } from './clock.ts';
import { DelayedKeys } from './delayed-keys.ts';
import { FairLine } from './fair-line.ts';
import type { RuntimeMetrics } from './metrics.ts';

/**
 * From the most urgent on. `finish`: an object that was begun and is not done yet, since in a burst all would be done
 * last otherwise; `user`: somebody changed something; `repair`: we must; `resync`: a periodic look.
 */
export const PRIORITIES = ['finish', 'user', 'repair', 'resync'] as const;
export type Priority = (typeof PRIORITIES)[number];

/**
 * Aging: a key counts as queued this much later than it was. A `resync` key thus waits for what came
 * within the 10 s after it and for no more; a strict order would let it starve under constant load.
 */
const HANDICAP_MS: Record<Priority, number> = {
  finish: Number.NEGATIVE_INFINITY,
  user: 0,
  repair: 1_000,
  resync: 10_000,
};
/** Objects that never finish must not keep the others out: after so many in a row another one has its turn. */
const MAX_FINISH_IN_A_ROW = 4;
/** controller-runtime's numbers, as labels of `workqueue_depth`. */
const PRIORITY_LABEL: Record<Priority, string> = { finish: '10', user: '0', repair: '-10', resync: '-100' };

export interface AddOptions {
  /** Default `user`. A key that already waits keeps the more urgent of both. */
  priority?: Priority;
  /** Not before this time; the earlier of two wins. */
  afterMs?: number;
}

export interface WorkQueueOptions {
  name: string;
  clock?: Clock;
  /** Keys of one flow (a tenant) wait in one line, and the lines take turns. Default: one flow. */
  flowOf?: (key: string) => string;
  metrics?: RuntimeMetrics;
  /** First delay after a failure, doubled by each further one. Default 5 ms. */
  backoffBaseMs?: number;
  /** Default 1000 s. */
  backoffCapMs?: number;
}

export interface Taken {
  key: string;
  priority: Priority;
}

/**
 * Keys to work on. A key waits once however often it is added, is worked on by one worker at a time, and one
 * that is added meanwhile comes again afterwards. The number of keys is bounded by the number of objects.
 */
export class WorkQueue {
  readonly #clock: Clock;
  readonly #metrics: RuntimeMetrics | undefined;
  readonly #labels: { name: string; controller: string };
  readonly #backoffBaseMs: number;
  readonly #backoffCapMs: number;
  readonly #ready: Record<Priority, FairLine>;
  #finishInARow = 0;
  readonly #delayed = new DelayedKeys();
  readonly #delayedPriority = new Map<string, Priority>();
  readonly #startedMs = new Map<string, number>();
  /** Added while worked on. */
  readonly #again = new Map<string, Priority>();
  readonly #failures = new Map<string, number>();
  readonly #idle: ((taken: Taken | undefined) => void)[] = [];
  readonly #uncollect: (() => void)[] = [];
  #cancelTimer: (() => void) | undefined;
  #timerDueMs = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(options: WorkQueueOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#metrics = options.metrics;
    this.#labels = { name: options.name, controller: options.name };
    const { flowOf = () => '' } = options;
    this.#ready = {
      finish: new FairLine(flowOf),
      user: new FairLine(flowOf),
      repair: new FairLine(flowOf),
      resync: new FairLine(flowOf),
    };
    this.#backoffBaseMs = options.backoffBaseMs ?? 5;
    this.#backoffCapMs = options.backoffCapMs ?? 1_000_000;
    this.#observe();
  }

  /** Keys that wait and are due. */
  get depth(): number {
    return PRIORITIES.reduce((sum, priority) => sum + this.#ready[priority].size, 0);
  }
  get inFlight(): number {
    return this.#startedMs.size;
  }

  add(key: string, { priority = 'user', afterMs = 0 }: AddOptions = {}): void {
    if (this.#closed) return;
    if (afterMs > 0) {
      this.#addLater(key, priority, afterMs);
      return;
    }
    this.#delayed.remove(key);
    const delayed = this.#delayedPriority.get(key);
    this.#delayedPriority.delete(key);
    this.#addNow(key, moreUrgent(priority, delayed));
  }

  /** After the key's own backoff, one step longer each time until `forget`. */
  addAfterFailure(key: string, priority: Priority = 'user'): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.#addLater(key, priority, exponentialMs(failures, this.#backoffBaseMs, this.#backoffCapMs));
  }

  /** The key is well: its next failure starts at the base delay. */
  forget(key: string): void {
    this.#failures.delete(key);
  }
  failures(key: string): number {
    return this.#failures.get(key) ?? 0;
  }

  /** Waits for a key; undefined once the queue is closed. The caller must call `done(key)`. */
  take(): Promise<Taken | undefined> {
    const taken = this.#closed ? undefined : this.#takeReady();
    if (taken || this.#closed) return Promise.resolve(taken);
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  done(key: string): void {
    const startedMs = this.#startedMs.get(key);
    if (startedMs === undefined) return;
    this.#startedMs.delete(key);
    this.#metrics?.workDuration.observe(this.#labels, (this.#clock.nowMs() - startedMs) / 1000);
    const again = this.#again.get(key);
    if (!again) return;
    this.#again.delete(key);
    if (!this.#closed) this.#enqueue(key, again);
  }

  /** Takes no more keys and hands none out; what is in flight ends by `done`. */
  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#delayed.clear();
    this.#delayedPriority.clear();
    for (const uncollect of this.#uncollect) uncollect();
    for (const wake of this.#idle.splice(0)) wake(undefined);
  }

  #addNow(key: string, priority: Priority): void {
    if (this.#startedMs.has(key)) {
      if (!this.#again.has(key)) this.#metrics?.queueAdds.inc(this.#labels);
      this.#again.set(key, moreUrgent(priority, this.#again.get(key)));
    } else this.#enqueue(key, priority);
  }

  #enqueue(key: string, priority: Priority): void {
    const waiting = PRIORITIES.find((candidate) => this.#ready[candidate].since(key) !== undefined);
    if (waiting) {
      if (PRIORITIES.indexOf(waiting) <= PRIORITIES.indexOf(priority)) return;
      // Promoted: it keeps the time since which it waits, and goes to the end of the more urgent line.
      this.#ready[priority].add(key, this.#ready[waiting].since(key)!);
      this.#ready[waiting].remove(key);
      return;
    }
    this.#metrics?.queueAdds.inc(this.#labels);
    this.#ready[priority].add(key, this.#clock.nowMs());
    const wake = this.#idle.shift();
    if (wake) wake(this.#takeReady());
  }

  #addLater(key: string, priority: Priority, afterMs: number): void {
    if (this.#closed) return;
    this.#metrics?.queueRetries.inc(this.#labels);
    if (PRIORITIES.some((candidate) => this.#ready[candidate].since(key) !== undefined)) return;
    this.#delayed.add(key, this.#clock.nowMs() + afterMs);
    this.#delayedPriority.set(key, moreUrgent(priority, this.#delayedPriority.get(key)));
    this.#armTimer();
  }

  #armTimer(): void {
    const dueMs = this.#delayed.nextDueMs();
    if (dueMs === undefined || dueMs >= this.#timerDueMs) return;
    this.#cancelTimer?.();
    this.#timerDueMs = dueMs;
    this.#cancelTimer = this.#clock.after(Math.max(0, dueMs - this.#clock.nowMs()), () => {
      this.#timerDueMs = Number.POSITIVE_INFINITY;
      this.#releaseDue();
    });
  }

  #releaseDue(): void {
    const nowMs = this.#clock.nowMs();
    for (let key = this.#delayed.takeDue(nowMs); key !== undefined; key = this.#delayed.takeDue(nowMs)) {
      const priority = this.#delayedPriority.get(key) ?? 'user';
      this.#delayedPriority.delete(key);
      this.#addNow(key, priority);
    }
    this.#armTimer();
  }

  #takeReady(): Taken | undefined {
    const mayFinish = this.#finishInARow < MAX_FINISH_IN_A_ROW;
    const best = this.#oldest(mayFinish ? PRIORITIES : PRIORITIES.slice(1)) ?? this.#oldest(PRIORITIES);
    if (!best) return undefined;
    const { key, priority, sinceMs } = best;
    this.#finishInARow = priority === 'finish' ? this.#finishInARow + 1 : 0;
    const nowMs = this.#clock.nowMs();
    this.#ready[priority].take();
    this.#startedMs.set(key, nowMs);
    this.#metrics?.queueDuration.observe(this.#labels, (nowMs - sinceMs) / 1000);
    return { key, priority };
  }

  #oldest(priorities: readonly Priority[]): (Taken & { sinceMs: number }) | undefined {
    let best: (Taken & { sinceMs: number }) | undefined;
    let bestMs = Number.POSITIVE_INFINITY;
    for (const priority of priorities) {
      const head = this.#ready[priority].peek();
      if (!head || head.sinceMs + HANDICAP_MS[priority] >= bestMs) continue;
      bestMs = head.sinceMs + HANDICAP_MS[priority];
      best = { ...head, priority };
    }
    return best;
  }

  #observe(): void {
    const metrics = this.#metrics;
    if (!metrics) return;
    const runningMs = (): number[] =>
      [...this.#startedMs.values()].map((startedMs) => this.#clock.nowMs() - startedMs);
    const { queueDepth, unfinishedWork, longestRunning } = metrics;
    metrics.queueAdds.inc(this.#labels, 0);
    metrics.queueRetries.inc(this.#labels, 0);
    this.#uncollect.push(
      metrics.onCollect(queueDepth, () => {
        for (const priority of PRIORITIES)
          queueDepth.set({ ...this.#labels, priority: PRIORITY_LABEL[priority] }, this.#ready[priority].size);
      }),
      metrics.onCollect(unfinishedWork, () =>
        unfinishedWork.set(this.#labels, runningMs().reduce((sum, ms) => sum + ms, 0) / 1000),
      ),
      metrics.onCollect(longestRunning, () =>
        longestRunning.set(this.#labels, Math.max(0, ...runningMs()) / 1000),
      ),
    );
  }
}

function moreUrgent(a: Priority, b: Priority | undefined): Priority {
  return b !== undefined && PRIORITIES.indexOf(b) < PRIORITIES.indexOf(a) ? b : a;
}
