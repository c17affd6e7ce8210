import {
  ANNOTATIONS,
  changer,
  counted,
  type DriftRecord,
  hasNewEntries,
  type InstanceObject,
  type InstanceStatus,
  type InventoryEntry,
  inventoryOf,
  inventoryRevision,
  type Reason,
  requestName,
  writeAheadAnnotation,
} from '@felucca/contract';
import { DONE, type Outcome } from '../../runtime/outcome.ts';
import { announcement } from '../announcement.ts';
import { ClusterError, type EmitEvent } from '../cluster.ts';
import { failureOf } from '../failure.ts';
import { applyFinalizer, hasFinalizer } from '../finalizer.ts';
import { ownConditions, writeStatus } from '../status-writer.ts';
import { type InstanceFacts, instanceConditions } from './conditions.ts';
import type { InstanceContext } from './context.ts';
import { driftMessage, isAlike, withDrift } from './drift-record.ts';
import type { Unmet } from './requirements.ts';
import type { Settled } from './settle.ts';

/** Nothing watches what these wait for (quota, rights, a foreign object), so they are looked at again. */
const RETRY_STALLED_MS = 30_000;
const LOOK_AGAIN_MS = 10_000;

/** What will be written as status, once, on every way out. */
export class StatusDraft {
  facts: InstanceFacts = { waiting: [], nodes: [], podFailures: [], suspended: false };
  inventory: InventoryEntry[];
  outputs: InstanceStatus['outputs'];
  leftOver = 0;
  readonly #context: InstanceContext;
  readonly #startedMs: number;
  #instance: InstanceObject;
  #drift: NonNullable<InstanceStatus['drift']>;
  #driftCount: number;
  #isDrifted = false;
  /** Drifts that a status of the Instance tells. */
  readonly #told: DriftRecord[];
  #immutable: InstanceStatus['immutable'];
  /** Events that are due once the status is written. */
  readonly #reports: Parameters<EmitEvent>[1][] = [];

  constructor(context: InstanceContext, instance: InstanceObject) {
    this.#context = context;
    this.#instance = instance;
    this.#startedMs = context.failures.nowMs();
    this.inventory = inventoryOf(instance);
    this.outputs = instance.status?.outputs;
    this.#drift = instance.status?.drift ?? [];
    this.#driftCount = instance.status?.driftCount ?? 0;
    this.#told = this.#drift.filter((record) => record.action === 'reported');
    this.#immutable = instance.status?.immutable;
  }

  /**
   * Finalizer and inventory are durable before the first child exists, in one write. So is a drift before it is set
   * back: after that a kill would leave no trace of it.
   */
  async writeAhead(inventory: InventoryEntry[], drift: readonly DriftRecord[]): Promise<void> {
    await this.#tellDrift(drift);
    const isNew = hasNewEntries(inventoryOf(this.#instance), inventory);
    this.inventory = inventory;
    if (!isNew && hasFinalizer(this.#instance)) return;
    const annotations = writeAheadAnnotation(this.#instance, inventory);
    const written = await applyFinalizer(this.#context.cluster, this.#instance, annotations);
    this.#instance = written as unknown as InstanceObject;
  }

  async #tellDrift(drift: readonly DriftRecord[]): Promise<void> {
    const untold = drift.filter((record) => !this.#told.some((old) => isAlike(old, record)));
    if (untold.length === 0) return;
    this.#told.push(...untold);
    const { desired: _, ...status } = this.#instance.status ?? { observedGeneration: 0 };
    const written = await writeStatus(this.#context.cluster, this.#instance, {
      ...status,
      conditions: ownConditions(this.#instance),
      drift: withDrift(this.#drift, drift),
      driftCount: this.#driftCount + drift.length,
    });
    if (written) this.#instance = written as unknown as InstanceObject;
  }

  /** The Instance as it was last read or written here. */
  get newest(): InstanceObject {
    return this.#instance;
  }

  isForeign(settled: Settled, entry: InventoryEntry): boolean {
    return settled.conflicts.some((conflict) => conflict.object === `${entry.kind}/${entry.name}`);
  }

  accept(immutable: Record<string, unknown>): void {
    this.#immutable = Object.keys(immutable).length > 0 ? immutable : undefined;
  }

  addDrift(settled: Settled): void {
    const { drift, throttledMs, throttled, plan } = settled;
    this.#drift = withDrift(this.#drift, drift);
    this.#driftCount += drift.length;
    this.#isDrifted = drift.length > 0;
    for (const record of drift) {
      const message = driftMessage(record);
      // A repair was made whatever comes; a report is found again until the status has it.
      if (record.action === 'corrected')
        this.#context.emit(this.#instance, { type: 'Normal', reason: 'DriftCorrected', message });
      else this.#reports.push({ type: 'Warning', reason: 'DriftReported', message });
    }
    const reported = plan.drift.find((finding) => finding.policy === 'report');
    const [fight] = throttled;
    if (throttledMs > 0)
      this.facts.drift = {
        status: 'True',
        reason: 'RepairsPaused',
        message: `${fight?.object ?? 'a child'} is changed again and again by ${changer(fight?.manager)}; repairs pause for up to a minute; stop the other writer, or let the Blueprint ignore the field`,
      };
    else if (reported)
      this.facts.drift = {
        status: 'True',
        reason: 'DriftReported',
        message: `${reported.kind}/${reported.name} ${reported.path} differs; the Blueprint says to report it only`,
      };
    else if (this.#drift.length > 0 && !this.facts.stalled) {
      const last = this.#drift[0];
      this.facts.drift = {
        status: 'False',
        reason: 'DriftCorrected',
        message: `owned fields are as desired; ${counted(this.#driftCount, 'difference')} so far, the last in ${last?.object} at ${last?.detectedAt}`,
      };
    }
  }

  async write(throttledMs: number): Promise<Outcome> {
    const { facts } = this;
    const patienceMs = this.#mayWaitMs(throttledMs);
    if (patienceMs > 0) return { kind: 'waiting', afterMs: patienceMs, why: 'children are progressing' };
    await this.#write();
    if (facts.stalled) return { kind: 'waiting', afterMs: RETRY_STALLED_MS, why: facts.stalled.message };
    if (throttledMs > 0) return { kind: 'waiting', afterMs: throttledMs, why: 'repairs are throttled' };
    if (this.leftOver > 0) return { kind: 'waiting', afterMs: 2_000, why: 'children are being removed' };
    const isSettled =
      facts.waiting.length === 0 &&
      facts.podFailures.length === 0 &&
      facts.nodes.every((node) => node.state === 'ready');
    return isSettled ? DONE : { kind: 'waiting', afterMs: LOOK_AGAIN_MS, why: 'children are progressing' };
  }

  /** How long a status that says nothing but "in progress" may still wait for a better one. */
  #mayWaitMs(throttledMs: number): number {
    const { facts, leftOver } = this;
    const isOpen = facts.waiting.length > 0 || facts.nodes.some((node) => node.state === 'progressing');
    const isNews =
      facts.stalled !== undefined ||
      facts.podFailures.length > 0 ||
      facts.nodes.some((node) => node.state === 'failed') ||
      this.#isDrifted ||
      throttledMs > 0 ||
      leftOver > 0;
    return isOpen && !isNews ? this.#context.patience.waitMs(this.#instance) : 0;
  }

  async writeStalled(reason: Reason, message: string): Promise<Outcome> {
    this.facts.stalled = { reason, message };
    await this.#write();
    return { kind: 'terminal', why: message };
  }

  /** The edit is set back in a moment, mostly; told when it is not. */
  async writeEdited(): Promise<Outcome> {
    const message =
      'the spec was edited here and is not what the control plane ordered; it is set back before anything is done about it. Change it through the API';
    const patienceMs = this.#context.patience.waitMs(this.#instance);
    if (patienceMs > 0) return { kind: 'waiting', afterMs: patienceMs, why: message };
    this.facts.notYet = { reason: 'SpecEdited', message };
    this.#keepData();
    await this.#write();
    return { kind: 'waiting', afterMs: RETRY_STALLED_MS, why: message };
  }

  async writeUnmet({ reason, message, comesByItself }: Unmet): Promise<Outcome> {
    if (!comesByItself) return this.writeStalled(reason, message);
    this.facts.notYet = { reason, message };
    await this.#write();
    return { kind: 'waiting', afterMs: RETRY_STALLED_MS, why: message };
  }

  /**
   * Whatever went wrong, the status must not go on telling of what was before it.
   * @throws what is no answer of the API server: the controller counts it.
   */
  async writeFailure(error: unknown): Promise<Outcome> {
    const failure = failureOf(error);
    const { uid = '', generation = 0 } = this.#instance.metadata;
    if (this.#context.failures.isDue(uid, generation, failure, this.#startedMs)) {
      this.facts = { waiting: [], nodes: [], podFailures: [], suspended: false, failure };
      // It may be what we were about to write that is refused.
      if (!failure.isPassing) this.#keepData();
      await this.#write(this.#context.afterwards).catch((unwritten: unknown) => {
        if (!(unwritten instanceof ClusterError)) throw unwritten;
      });
    }
    if (!(error instanceof ClusterError)) throw error;
    return { kind: 'retry', why: failure.message, error: error.cause ?? error };
  }

  #keepData(): void {
    const { outputs, drift = [], driftCount = 0 } = this.#instance.status ?? {};
    this.outputs = outputs;
    this.#drift = drift;
    this.#driftCount = driftCount;
  }

  async #write(cluster = this.#context.cluster): Promise<void> {
    const { metadata } = this.#instance;
    const request = metadata.annotations?.[ANNOTATIONS.reconcileRequestedAt];
    const before = this.#instance.status?.conditions ?? [];
    const conditions = instanceConditions(this.#instance, this.facts, this.#context.clock());
    const outputs = this.outputs && Object.keys(this.outputs).length > 0 ? this.outputs : undefined;
    const status: Record<string, unknown> = {
      observedGeneration: metadata.generation ?? 0,
      conditions,
      outputs,
      inventory: this.inventory.length > 0 ? this.inventory : undefined,
      inventoryRevision: inventoryRevision(this.#instance),
      drift: this.#drift.length > 0 ? this.#drift : undefined,
      driftCount: this.#driftCount > 0 ? this.#driftCount : undefined,
      immutable: this.#immutable,
      lastHandledReconcileAt: request === undefined ? undefined : requestName(request),
    };
    const written = await writeStatus(cluster, this.#instance, status);
    if (written) this.#instance = written as unknown as InstanceObject;
    this.#context.patience.told(this.#instance);
    if (!this.facts.failure) this.#context.failures.forget(metadata.uid ?? '');
    if (!written) return;
    const news = announcement(before, conditions);
    for (const event of [...this.#reports.splice(0), ...(news ? [news] : [])])
      this.#context.emit(this.#instance, event);
  }
}
