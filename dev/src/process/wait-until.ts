import { setTimeout as delay } from 'node:timers/promises';
import type { SupervisedChild } from './child.ts';
import { logTail } from './log-tail.ts';

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly intervalMs?: number;
  /** Processes the condition depends on: if one ends, waiting is pointless and fails at once. */
  readonly children?: readonly SupervisedChild[];
  readonly signal?: AbortSignal;
}

/**
 * Polls `check` until it returns something truthy. A thrown error counts as "not yet" and its text goes into
 * the error that names what was waited for, the log of each process concerned, and its last lines.
 */
export async function waitUntil<T>(
  what: string,
  check: () => Promise<T> | T,
  options: WaitOptions,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + options.timeoutMs;
  let lastError = '';
  for (;;) {
    options.signal?.throwIfAborted();
    try {
      const value = await check();
      if (value) return value;
      lastError = '';
    } catch (error) {
      lastError = error instanceof Error ? error.message : String(error);
    }
    for (const child of options.children ?? []) {
      if (!child.running) throw new Error(endedMessage(what, child));
    }
    if (performance.now() >= deadline) throw new Error(timeoutMessage(what, options, lastError));
    await delay(options.intervalMs ?? 50);
  }
}

function endedMessage(what: string, child: SupervisedChild): string {
  const exit = child.lastExit;
  const how = exit?.signal ? `was killed by ${exit.signal}` : `exited with code ${exit?.code}`;
  return `${child.name} ${how} while waiting for: ${what}.\nLog: ${child.logPath}\n${logTail(child.logPath)}`;
}

function timeoutMessage(what: string, options: WaitOptions, lastError: string): string {
  const seconds = Math.round(options.timeoutMs / 100) / 10;
  const logs = (options.children ?? []).map(
    (child) => `\n${child.name} log: ${child.logPath}\n${logTail(child.logPath)}`,
  );
  const because = lastError === '' ? '' : ` Last error: ${lastError}.`;
  return `Gave up after ${seconds} s waiting for: ${what}.${because}${logs.join('')}`;
}
