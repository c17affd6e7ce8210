import type { Logger } from 'pino';
import { ApiError } from './api-error.ts';
import { type Clock, systemClock } from './clock.ts';
import { apiVersionOf, type Gvr } from './resources.ts';

/** What one wants to know of a cache that is not warm. */
interface Cache {
  /** Undefined once it is warm. */
  readonly coldBecause: string | undefined;
}
interface Ageing {
  /** Undefined as long as something was heard within this time. */
  staleBecause(limitMs: number): string | undefined;
}

const SHOWN = 3;
const SAY_EVERY_MS = 120_000;

/** What is missing, why, and what to do about it, for the log and for /readyz. */
export function coldBecause(gvr: Gvr, error: unknown, state = 'not listed yet'): string {
  const { kind, resource } = gvr;
  const what = `${kind} ${state}`;
  if (!(error instanceof ApiError)) return what;
  const apiVersion = apiVersionOf(gvr);
  if (error.status === 403)
    return `${what}: ${error.message}; let the operator's ClusterRole list and watch ${resource} of ${apiVersion}, as the Helm chart's does`;
  if (error.status === 404)
    return `${what}: the API server knows no ${resource} in ${apiVersion}; install the CustomResourceDefinitions, or enable this API`;
  return `${what}: ${error.message}`;
}

/** How old what we know is, and why nothing newer comes. */
export function staleBecause({ kind }: Gvr, ageMs: number, error: unknown): string {
  const why = error instanceof ApiError ? error.message : 'its watch is silent';
  return `${kind} not heard of for ${Math.round(ageMs / 1000)} s: ${why}`;
}

/** Undefined when all are warm. */
export const coldCaches = (caches: readonly Cache[]): string | undefined =>
  listed(caches.flatMap((cache) => cache.coldBecause ?? []));

/** Undefined when all were heard of within the limit. */
export const staleCaches = (caches: readonly Ageing[], limitMs: number): string | undefined =>
  listed(caches.flatMap((cache) => cache.staleBecause(limitMs) ?? []));

function listed(texts: readonly string[]): string | undefined {
  if (texts.length === 0) return undefined;
  const more = texts.length > SHOWN ? `; and ${texts.length - SHOWN} more` : '';
  return texts.slice(0, SHOWN).join('; ') + more;
}

export interface WarmOptions {
  log: Logger;
  /** Ends the wait. */
  signal: AbortSignal;
  clock?: Clock;
}

/**
 * Waits for as long as it takes, and says every two minutes what is missing. Whatever keeps a cache cold (an API
 * server that is away, a right, a CRD) is cured from outside: a process that ends would only be slower to notice.
 */
export async function whenWarm(
  synced: Promise<unknown>,
  caches: readonly Cache[],
  { log, signal, clock = systemClock }: WarmOptions,
): Promise<void> {
  const waiting = new AbortController();
  const end = (): void => waiting.abort();
  if (signal.aborted) end();
  signal.addEventListener('abort', end, { once: true });
  void synced.then(end);
  while (!waiting.signal.aborted) {
    await clock.sleep(SAY_EVERY_MS, waiting.signal);
    if (!waiting.signal.aborted) log.error(`still waiting: ${coldCaches(caches) ?? 'a cache is cold'}`);
  }
  signal.removeEventListener('abort', end);
}
