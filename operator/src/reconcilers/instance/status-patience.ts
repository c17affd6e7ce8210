export interface StatusPatienceOptions {
  /** Default 1 s. */
  patienceMs?: number;
  nowMs?: () => number;
}

/** How long "in progress" waits for its outcome: most Instances are Ready before a first status would help. */
const PATIENCE_MS = 1_000;
/**
 * With more than this at a time each has more patience, in proportion and up to so many times: the outcome takes longer
 * too, and each write on the way makes all of them wait longer. `observedGeneration` says meanwhile that the status is old.
 */
const BURST = 50;
const LONGEST = 60;
const MAX_INSTANCES = 100_000;

/**
 * Puts off a status that says nothing but "in progress", so that one write says what two or three would have said.
 * What fails, drifts or is done is written at once.
 */
export class StatusPatience {
  readonly #sinceMs = new Map<string, number>();
  readonly #patienceMs: number;
  readonly #nowMs: () => number;

  constructor({ patienceMs = PATIENCE_MS, nowMs = () => performance.now() }: StatusPatienceOptions = {}) {
    this.#patienceMs = patienceMs;
    this.#nowMs = nowMs;
  }

  /** How long the write may still wait; 0 when it is due. */
  waitMs(uid: string): number {
    const now = this.#nowMs();
    const since = this.#sinceMs.get(uid) ?? now;
    this.#sinceMs.set(uid, since);
    const [first] = this.#sinceMs.keys();
    if (this.#sinceMs.size > MAX_INSTANCES && first !== undefined) this.#sinceMs.delete(first);
    const times = Math.min(LONGEST, Math.max(1, this.#sinceMs.size / BURST));
    return Math.max(0, Math.ceil(this.#patienceMs * times - (now - since)));
  }

  /** The status was written, or the Instance is gone. */
  forget(uid: string): void {
    this.#sinceMs.delete(uid);
  }
}
