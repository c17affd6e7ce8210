import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';

export interface LockOptions {
  readonly timeoutMs: number;
  /** What the holder is doing, shown to those who wait. */
  readonly purpose: string;
  /** Called about every 5 s while somebody else holds the lock. */
  readonly onWait?: (holder: string, elapsedMs: number) => void;
}

/**
 * Runs `work` while holding a lock that spans processes.
 *
 * The lock is SQLite's exclusive lock on an empty database file: an operating system lock, so it goes away with
 * its holder however that dies. A lock file with a pid inside needs a takeover of stale locks, and two takers
 * can always race there.
 */
export async function withLock<T>(path: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(path), { recursive: true });
  const database = await acquire(path, options);
  try {
    writeFileSync(`${path}.holder`, `pid ${process.pid}: ${options.purpose}`);
    return await work();
  } finally {
    database.close();
  }
}

async function acquire(path: string, options: LockOptions): Promise<DatabaseSync> {
  const started = performance.now();
  let lastNotice = started;
  for (;;) {
    const database = tryAcquire(path);
    if (database !== undefined) return database;
    const now = performance.now();
    if (now - started > options.timeoutMs) {
      throw new Error(
        `Could not get the lock ${path} within ${options.timeoutMs} ms for "${options.purpose}"; held by ${holderOf(path)}`,
      );
    }
    if (now - lastNotice > 5_000) {
      lastNotice = now;
      options.onWait?.(holderOf(path), now - started);
    }
    await delay(50);
  }
}

function tryAcquire(path: string): DatabaseSync | undefined {
  const database = new DatabaseSync(path);
  try {
    database.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database.close();
    if (error instanceof Error && /locked|busy/i.test(error.message)) return undefined;
    throw error;
  }
}

function holderOf(path: string): string {
  try {
    return readFileSync(`${path}.holder`, 'utf8');
  } catch {
    return 'another process';
  }
}
