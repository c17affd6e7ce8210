/** How one reconcile ended; a closed union. Exceptions are surprises and count as `retry`. */
export type Outcome =
  | { kind: 'done' }
  /** Not finished, nothing is wrong: an event brings it back, or the time does. */
  | { kind: 'waiting'; afterMs?: number; why: string }
  /** Failed; tried again with this key's own backoff. */
  | { kind: 'retry'; why: string; error?: unknown }
  /** No retry helps until somebody changes the object. */
  | { kind: 'terminal'; why: string; error?: unknown };

export const DONE: Outcome = { kind: 'done' };
export const waiting = (why: string, afterMs?: number): Outcome => ({
  kind: 'waiting',
  why,
  ...(afterMs === undefined ? {} : { afterMs }),
});
export const retry = (why: string, error?: unknown): Outcome => ({ kind: 'retry', why, error });
export const terminal = (why: string, error?: unknown): Outcome => ({ kind: 'terminal', why, error });
