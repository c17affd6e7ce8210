import { ANNOTATIONS, type InstanceObject, requestName } from '@felucca/contract';
import { isInProgress } from './in-progress.ts';

export interface StatusPatienceOptions {
  /** Default 1 s. */
  patienceMs?: number;
  nowMs?: () => number;
}

/** How long "in progress" waits for its outcome: most Instances are Ready before a first status would help. */
const PATIENCE_MS = 1_000;
/**
 * With more orders than this at a time each has more patience, in proportion and up to so many times: the outcome takes
 * longer too, and each write on the way makes all of them wait longer. Meanwhile the status says that it is old, or that
 * it is not all; one that says anything else of the present order never waits longer than the first second.
 */
const BURST = 20;
const LONGEST = 60;
/** What has been in progress for longer waits for something else than its turn. */
const YOUNG_MS = 60_000;
const MAX_INSTANCES = 100_000;

/**
 * Puts off a status that says nothing but "in progress", so that one write says what two or three would have said.
 * What fails, drifts or is done is written at once.
 */
export class StatusPatience {
  /** Since when each has something to tell. */
  readonly #sinceMs = new Map<string, number>();
  /** When each order was first seen that is not done yet; the oldest is first. */
  readonly #begunMs = new Map<string, number>();
  readonly #patienceMs: number;
  readonly #nowMs: () => number;

  constructor({ patienceMs = PATIENCE_MS, nowMs = () => performance.now() }: StatusPatienceOptions = {}) {
    this.#patienceMs = patienceMs;
    this.#nowMs = nowMs;
  }

  /** How long the write may still wait; 0 when it is due. */
  waitMs(instance: InstanceObject): number {
    const { uid = '', generation } = instance.metadata;
    if (isAskedFor(instance)) return 0;
    const now = this.#nowMs();
    const since = this.#sinceMs.get(uid) ?? now;
    remember(this.#sinceMs, uid, since);
    // Only what no status tells of yet: a look at what has been going on for long begins nothing.
    if (instance.status?.observedGeneration !== generation)
      remember(this.#begunMs, uid, this.#begunMs.get(uid) ?? now);
    for (const [oldest, begun] of this.#begunMs) {
      if (now - begun < YOUNG_MS) break;
      this.#begunMs.delete(oldest);
    }
    const times = Math.min(LONGEST, Math.max(1, this.#begunMs.size / BURST));
    return Math.max(0, Math.ceil(this.#patienceMs * (isInProgress(instance) ? times : 1) - (now - since)));
  }

  /** The status was written, or says all there is to say. */
  told(instance: InstanceObject): void {
    const { uid = '' } = instance.metadata;
    this.#sinceMs.delete(uid);
    if (!isInProgress(instance)) this.#begunMs.delete(uid);
  }

  /** The Instance is gone. */
  forget(uid: string): void {
    this.#sinceMs.delete(uid);
    this.#begunMs.delete(uid);
  }
}

/** A person waits for a look, and the status says that it was. */
function isAskedFor({ metadata, status }: InstanceObject): boolean {
  const request = metadata.annotations?.[ANNOTATIONS.reconcileRequestedAt];
  return request !== undefined && requestName(request) !== status?.lastHandledReconcileAt;
}

function remember(map: Map<string, number>, uid: string, ms: number): void {
  map.set(uid, ms);
  const [first] = map.keys();
  if (map.size > MAX_INSTANCES && first !== undefined) map.delete(first);
}
