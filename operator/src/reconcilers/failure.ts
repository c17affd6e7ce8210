import type { Reason } from '@felucca/contract';
import { ClusterError } from './cluster.ts';

/** A reconcile that failed and is tried again, as people are told of it. */
export interface Failure {
  reason: Extract<Reason, 'ApiError' | 'InternalError'>;
  message: string;
  /** No verdict on the object: likely to be gone with the next attempt. */
  isPassing: boolean;
}

export function failureOf(error: unknown): Failure {
  if (error instanceof ClusterError)
    return { reason: 'ApiError', message: `${error.message}; it is retried`, isPassing: error.isPassing };
  const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const message = `the operator made a mistake (${what}) and tries again; its log has the details, please report them`;
  return { reason: 'InternalError', message, isPassing: false };
}

/** What passes by itself within this time is not worth a write, nor anybody's attention. */
const LASTING_MS = 10_000;
/** Texts of one failure may differ from attempt to attempt: the newest is told this often. */
const REPEAT_MS = 60_000;
const MAX_OBJECTS = 100_000;

interface Failing {
  sinceMs: number;
  toldMs: number;
  told: string;
}

/** Decides which failures are told in a status: those that are a verdict, or that last. Never one write per attempt. */
export class FailurePatience {
  readonly #failing = new Map<string, Failing>();
  /** Monotonic. */
  readonly nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.nowMs = nowMs;
  }

  /**
   * Counts the failure; true when it is to be told now. `generation` is that of the object, `startedMs` when the
   * reconcile began: one that took too long has lasted already.
   */
  isDue(uid: string, generation: number, { reason, isPassing }: Failure, startedMs: number): boolean {
    const nowMs = this.nowMs();
    const failing = this.#failing.get(uid) ?? {
      sinceMs: startedMs,
      toldMs: Number.NEGATIVE_INFINITY,
      told: '',
    };
    this.#failing.set(uid, failing);
    const [first] = this.#failing.keys();
    if (this.#failing.size > MAX_OBJECTS && first !== undefined) this.#failing.delete(first);
    if (isPassing && nowMs - failing.sinceMs < LASTING_MS) return false;
    const what = `${generation} ${reason}`;
    if (failing.told === what && nowMs - failing.toldMs < REPEAT_MS) return false;
    failing.toldMs = nowMs;
    failing.told = what;
    return true;
  }

  /** A reconcile has ended well, or the object is gone. */
  forget(uid: string): void {
    this.#failing.delete(uid);
  }
}
