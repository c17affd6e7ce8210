import type { Clock } from './clock.ts';

/** `baseMs × 2^failures`, at most `capMs`. Not jittered: one key fails alone. */
export const exponentialMs = (failures: number, baseMs: number, capMs: number): number =>
  Math.min(capMs, baseMs * 2 ** Math.min(failures, 40));

/** `Retry-After` (seconds or a date) in ms, at most `maxMs`: a server must not silence us for a day. */
export function retryAfterMs(
  header: string | undefined,
  wallNowMs: number,
  maxMs = 60_000,
): number | undefined {
  if (header === undefined || header === '') return undefined;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - wallNowMs;
  return Number.isFinite(ms) ? Math.min(maxMs, Math.max(0, ms)) : undefined;
}

export interface ReconnectOptions {
  baseMs?: number;
  capMs?: number;
  /** After this long without a failure the next one starts at the base again. */
  resetMs?: number;
  random?: () => number;
}

/** Reconnect delays with full jitter, 0.8 s doubling to 30 s, so that many clients do not come back in step. */
export class ReconnectBackoff {
  readonly #clock: Clock;
  readonly #baseMs: number;
  readonly #capMs: number;
  readonly #resetMs: number;
  readonly #random: () => number;
  #failures = 0;
  #lastFailureMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, options: ReconnectOptions = {}) {
    this.#clock = clock;
    this.#baseMs = options.baseMs ?? 800;
    this.#capMs = options.capMs ?? 30_000;
    this.#resetMs = options.resetMs ?? 120_000;
    this.#random = options.random ?? Math.random;
  }

  nextMs(): number {
    const now = this.#clock.nowMs();
    if (now - this.#lastFailureMs > this.#resetMs) this.#failures = 0;
    this.#lastFailureMs = now;
    const windowMs = exponentialMs(this.#failures++, this.#baseMs, this.#capMs);
    return Math.round(windowMs * this.#random());
  }

  reset(): void {
    this.#failures = 0;
  }
}
