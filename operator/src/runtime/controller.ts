import type { Logger } from 'pino';
import type { Outcome } from './outcome.ts';
import type { AddOptions, Priority } from './work-queue.ts';

export interface ReconcileContext {
  /** Aborted when the reconcile takes too long or the process stops. */
  signal: AbortSignal;
  /** Carries controller, key and reconcileID. */
  log: Logger;
  reconcileId: string;
  priority: Priority;
}
export type Reconcile = (key: string, context: ReconcileContext) => Promise<Outcome>;

export interface ControllerOptions {
  name: string;
  reconcile: Reconcile;
  /** Default 1, as in controller-runtime. */
  maxConcurrentReconciles?: number;
  /** Default 60 s. */
  reconcileTimeoutMs?: number;
}

export interface Controller {
  readonly name: string;
  enqueue(key: string, options?: AddOptions): void;
  /** Starts the workers; resolves when the signal aborted and what ran has ended or `drainMs` passed. */
  run(signal: AbortSignal): Promise<void>;
}
