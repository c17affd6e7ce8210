import type { Clock } from './clock.ts';

/** What requests say about the API server. */
export class Reachability {
  readonly #clock: Clock;
  #answeredMs: number;
  #failedMs: number;
  #why: string | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#answeredMs = clock.nowMs();
    this.#failedMs = this.#answeredMs;
  }

  answered(): void {
    this.#answeredMs = this.#clock.nowMs();
    this.#why = undefined;
  }
  failed(why: string): void {
    this.#failedMs = this.#clock.nowMs();
    this.#why = why;
  }

  /** Why the newest request failed; undefined when it did not. */
  get trouble(): string | undefined {
    return this.#why;
  }
  /** From the last failure (or the start) to the last answer: for how long requests are known to work. */
  get steadyMs(): number {
    return Math.max(0, this.#answeredMs - this.#failedMs);
  }
}
