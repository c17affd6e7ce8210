import { fetchAll } from './fetch-all.ts';

/** Vitest's global setup: what takes minutes to get on a new machine counts against no test's time. */
export default async function beforeTests(): Promise<void> {
  const started = performance.now();
  let lastMs = started;
  try {
    await fetchAll((line) => {
      const nowMs = performance.now();
      // A cache that has everything is silent.
      if (nowMs - lastMs < 1_000) return;
      lastMs = nowMs;
      process.stderr.write(`[${Math.round((nowMs - started) / 1000)} s] ${line}\n`);
    });
  } catch (error) {
    // Whoever needs it says so itself; the other tests can run.
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  }
}
