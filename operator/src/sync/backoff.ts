import { retryAfterMs as boundedRetryAfterMs, exponentialMs } from '../runtime/backoff.ts';

/** The caller draws uniformly from the window. */
export interface WaitWindow {
  minMs: number;
  maxMs: number;
}

export const BACKOFF_BASE_MS = 800;
export const BACKOFF_CAP_MS = 30_000;

/** Full jitter: 0.8 s doubling to 30 s, so that a fleet does not come back in step. */
export function backoffWindow(attempt: number, baseMs = BACKOFF_BASE_MS, capMs = BACKOFF_CAP_MS): WaitWindow {
  return { minMs: 0, maxMs: exponentialMs(attempt, baseMs, capMs) };
}

export const drawMs = (window: WaitWindow, random: () => number): number =>
  Math.round(window.minMs + random() * (window.maxMs - window.minMs));

/** A control plane under load may ask for up to five minutes; no reconcile waits for that. */
export const retryAfterMs = (header: string | undefined, nowMs: number): number | undefined =>
  boundedRetryAfterMs(header, nowMs, 300_000);
