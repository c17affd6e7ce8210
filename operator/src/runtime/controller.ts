import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { ApiError } from './api-error.ts';
import { type Clock, systemClock } from './clock.ts';
import type { RuntimeMetrics } from './metrics.ts';
import type { Outcome } from './outcome.ts';
import { type AddOptions, type Priority, type Taken, WorkQueue } from './work-queue.ts';

export interface ReconcileContext {
  /** Aborted when the reconcile takes too long or the process stops hard. */
  signal: AbortSignal;
  /** Carries controller, key and reconcileID. */
  log: Logger;
  reconcileId: string;
  priority: Priority;
}
export type Reconcile = (key: string, context: ReconcileContext) => Promise<Outcome>;

export interface ControllerOptions {
  name: string;
  reconcile: Reconcile;
  log: Logger;
  metrics: RuntimeMetrics;
  clock?: Clock;
  /** What log lines about a key say besides the key. */
  describe?: (key: string) => Record<string, unknown>;
  /** Default 1, as in controller-runtime. */
  maxConcurrentReconciles?: number;
  /** Default 60 s. */
  reconcileTimeoutMs?: number;
  /** Keys of one flow (a tenant) do not delay those of others. Default: one flow. */
  flowOf?: (key: string) => string;
  /** How long running reconciles may finish after the stop; then their signal aborts. Default 20 s. */
  drainMs?: number;
  backoffBaseMs?: number;
  backoffCapMs?: number;
}

/** Between the abort of a reconcile's signal and giving it up. */
const ABORT_GRACE_MS = 2_000;

class ReconcileTimeout extends Error {
  override name = 'ReconcileTimeout';
}
const PROGRAMMING_ERRORS = [TypeError, RangeError, ReferenceError, SyntaxError];
const isPanic = (error: unknown): boolean =>
  !(error instanceof Error) || PROGRAMMING_ERRORS.some((type) => error instanceof type);

/** What the API server asked for, also when somebody wrapped its error. */
function askedWaitMs(error: unknown): number | undefined {
  let at = error;
  for (let depth = 0; depth < 5 && at instanceof Error; depth++, at = at.cause)
    if (at instanceof ApiError) return at.retryAfterMs;
  return undefined;
}

/** Takes keys from its queue and reconciles them: one at a time per key, a bounded number at a time in all. */
export class Controller {
  readonly name: string;
  readonly queue: WorkQueue;
  readonly #options: ControllerOptions;
  readonly #clock: Clock;
  readonly #hardStop = new AbortController();

  constructor(options: ControllerOptions) {
    this.name = options.name;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const { name, metrics, backoffBaseMs, backoffCapMs, flowOf } = options;
    this.queue = new WorkQueue({
      name,
      metrics,
      clock: this.#clock,
      ...(flowOf === undefined ? {} : { flowOf }),
      ...(backoffBaseMs === undefined ? {} : { backoffBaseMs }),
      ...(backoffCapMs === undefined ? {} : { backoffCapMs }),
    });
    this.#createSeries();
  }

  enqueue(key: string, options?: AddOptions): void {
    this.queue.add(key, options);
  }

  /** Runs the workers; resolves when the signal aborted and what ran has ended, or `drainMs` passed. */
  async run(signal: AbortSignal): Promise<void> {
    const close = (): void => this.queue.close();
    if (signal.aborted) close();
    signal.addEventListener('abort', close, { once: true });
    const workers = Array.from({ length: this.#options.maxConcurrentReconciles ?? 1 }, () => this.#work());
    const stopped = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await stopped;
    const drained = new AbortController();
    const late = this.#clock.sleep(this.#options.drainMs ?? 20_000, drained.signal).then(() => {
      if (!drained.signal.aborted) this.#hardStop.abort(new Error('The operator stops.'));
    });
    await Promise.race([Promise.all(workers).then(() => drained.abort()), late]);
    drained.abort();
  }

  async #work(): Promise<void> {
    for (let taken = await this.queue.take(); taken; taken = await this.queue.take()) {
      this.#options.metrics.activeWorkers.inc({ controller: this.name });
      await this.#handle(taken);
      this.#options.metrics.activeWorkers.dec({ controller: this.name });
    }
  }

  async #handle(taken: Taken): Promise<void> {
    const { metrics, reconcile } = this.#options;
    const { key, priority } = taken;
    const controller = this.name;
    const reconcileId = randomUUID();
    const about = this.#options.describe?.(key);
    const log = this.#options.log.child({ controller, key, ...about, reconcileID: reconcileId });
    const startedMs = this.#clock.nowMs();
    const limit = this.#limit();
    let finished = false;
    const running = Promise.resolve()
      .then(() => reconcile(key, { signal: limit.signal, log, reconcileId, priority }))
      .catch((error: unknown): Outcome => this.#failed(error))
      .finally(() => {
        finished = true;
      });
    // A reconcile that ignores its signal frees its worker, but not its key: two must never run at once.
    const outcome = await Promise.race([running, limit.givenUp]);
    limit.clear();
    metrics.reconcileTime.observe({ controller }, (this.#clock.nowMs() - startedMs) / 1000);
    this.#settle(taken, outcome, log);
    if (finished) this.queue.done(key);
    else void running.then(() => this.queue.done(key));
  }

  #failed(error: unknown): Outcome {
    if (isPanic(error)) this.#options.metrics.panics.inc({ controller: this.name });
    return { kind: 'retry', why: error instanceof Error ? error.message : String(error), error };
  }

  /** First the signal, then a grace to end by itself, then it is given up. */
  #limit(): { signal: AbortSignal; givenUp: Promise<Outcome>; clear: () => void } {
    const { metrics, reconcileTimeoutMs = 60_000 } = this.#options;
    const timeout = new AbortController();
    const signal = AbortSignal.any([timeout.signal, this.#hardStop.signal]);
    let cancelGrace: (() => void) | undefined;
    const cancelTimer = this.#clock.after(reconcileTimeoutMs, () => {
      metrics.timeouts.inc({ controller: this.name });
      timeout.abort(
        new ReconcileTimeout(`The reconcile took over ${reconcileTimeoutMs} ms and was given up.`),
      );
    });
    let onAbort = (): void => undefined;
    const givenUp = new Promise<Outcome>((resolve) => {
      onAbort = () => {
        cancelGrace = this.#clock.after(ABORT_GRACE_MS, () => resolve(this.#failed(signal.reason)));
      };
      signal.addEventListener('abort', onAbort, { once: true });
    });
    const clear = (): void => {
      cancelTimer();
      cancelGrace?.();
      signal.removeEventListener('abort', onAbort);
    };
    return { signal, givenUp, clear };
  }

  #settle(taken: Taken, outcome: Outcome, log: Logger): void {
    const { metrics } = this.#options;
    const { key } = taken;
    // Only news of the object itself says that it can be finished now.
    const priority = taken.priority === 'finish' ? 'user' : taken.priority;
    const controller = this.name;
    const count = (result: string): void => metrics.reconcileTotal.inc({ controller, result });
    switch (outcome.kind) {
      case 'done':
        this.queue.forget(key);
        count('success');
        break;
      case 'waiting':
        this.queue.forget(key);
        if (outcome.afterMs !== undefined)
          this.queue.add(key, { priority, afterMs: Math.max(1, outcome.afterMs) });
        count(outcome.afterMs === undefined ? 'success' : 'requeue_after');
        break;
      case 'terminal':
        this.queue.forget(key);
        metrics.reconcileErrors.inc({ controller });
        metrics.terminalErrors.inc({ controller });
        log.warn({ err: outcome.error }, `cannot be reconciled until it is changed: ${outcome.why}`);
        count('error');
        break;
      case 'retry': {
        const asked = askedWaitMs(outcome.error);
        if (asked === undefined) this.queue.addAfterFailure(key, priority);
        else this.queue.add(key, { priority, afterMs: Math.max(1, asked) });
        metrics.reconcileErrors.inc({ controller });
        log.warn(
          { err: outcome.error, failures: this.queue.failures(key) },
          `reconcile failed: ${outcome.why}`,
        );
        count('error');
        break;
      }
    }
  }

  /** At 0 from the start: a rate over a series that appears with its first error misses that error. */
  #createSeries(): void {
    const { metrics, maxConcurrentReconciles = 1 } = this.#options;
    const controller = this.name;
    for (const result of ['success', 'error', 'requeue', 'requeue_after'])
      metrics.reconcileTotal.inc({ controller, result }, 0);
    for (const counter of [metrics.reconcileErrors, metrics.terminalErrors, metrics.panics, metrics.timeouts])
      counter.inc({ controller }, 0);
    metrics.activeWorkers.set({ controller }, 0);
    metrics.maxConcurrent.set({ controller }, maxConcurrentReconciles);
  }
}
