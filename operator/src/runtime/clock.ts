/** Injected time: intervals are monotonic, the wall clock is for people and for Lease timestamps only. */
export interface Clock {
  /** Monotonic milliseconds. */
  nowMs(): number;
  /** Wall clock. */
  date(): Date;
  /** Resolves after `ms`, or at once and without an error when `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Returns the function that cancels the timer. */
  after(ms: number, run: () => void): () => void;
}

/** setTimeout fires at once above this, so longer waits are cut into pieces. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  date: () => new Date(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) {
        resolve();
        return;
      }
      const finish = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', finish);
        resolve();
      };
      const timer = setTimeout(finish, Math.min(ms, MAX_TIMER_MS));
      signal?.addEventListener('abort', finish, { once: true });
    }),
  after: (ms, run) => {
    const timer = setTimeout(run, Math.min(ms, MAX_TIMER_MS));
    return () => clearTimeout(timer);
  },
};
