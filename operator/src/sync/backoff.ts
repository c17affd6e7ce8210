/** The caller draws uniformly from the window. */
export interface WaitWindow {
  minMs: number;
  maxMs: number;
}

export const BACKOFF_BASE_MS = 800;
export const BACKOFF_CAP_MS = 30_000;

/** Full jitter: 0.8 s doubling to 30 s, so that a fleet does not come back in step. */
export function backoffWindow(attempt: number, baseMs = BACKOFF_BASE_MS, capMs = BACKOFF_CAP_MS): WaitWindow {
  return { minMs: 0, maxMs: Math.min(capMs, baseMs * 2 ** Math.min(attempt, 20)) };
}

export const drawMs = (window: WaitWindow, random: () => number): number =>
  Math.round(window.minMs + random() * (window.maxMs - window.minMs));

/** `Retry-After` in seconds or as a date; bounded, because a peer must not silence us for a day. */
export function retryAfterMs(header: string | undefined, nowMs: number, maxMs = 300_000): number | undefined {
  if (header === undefined) return undefined;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - nowMs;
  return Number.isFinite(ms) ? Math.min(maxMs, Math.max(0, ms)) : undefined;
}
