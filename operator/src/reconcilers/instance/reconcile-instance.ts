import {
  ANNOTATIONS,
  childState,
  counted,
  type DriftRecord,
  ExpressionProblem,
  explained,
  hasNewEntries,
  type InstanceObject,
  type InstanceStatus,
  type InventoryEntry,
  immutableValues,
  inventoryOf,
  inventoryRevision,
  type KubeObject,
  podFailures,
  policyOf,
  policyWhileAlive,
  type Reason,
  renderOutputs,
  requestName,
  stuckObject,
  writeAheadAnnotation,
} from '@felucca/contract';
import { DONE, type Outcome, retry } from '../../runtime/outcome.ts';
import { announcement } from '../announcement.ts';
import { ClusterError, type EmitEvent, refOf } from '../cluster.ts';
import { failureOf } from '../failure.ts';
import { applyFinalizer, hasFinalizer } from '../finalizer.ts';
import { ownConditions, writeStatus } from '../status-writer.ts';
import { isAsOrdered } from './as-ordered.ts';
import { type InstanceFacts, instanceConditions } from './conditions.ts';
import type { InstanceContext } from './context.ts';
import { deleteInstance } from './delete-instance.ts';
import { driftMessage, isAlike, withDrift } from './drift-record.ts';
import { openParameters } from './open-parameters.ts';
import { missingKeys } from './plan.ts';
import { removeChildren } from './remove-children.ts';
import { requirements, Unmet } from './requirements.ts';
import { type Settled, type Subject, settleChildren } from './settle.ts';
import { Outdated, requireCurrent } from './still-current.ts';
import { unstickRollouts } from './stuck-rollout.ts';
import { takeUpClaims } from './take-up-claims.ts';

/** Nothing watches what these wait for (quota, rights, a foreign object), so they are looked at again. */
const RETRY_STALLED_MS = 30_000;
const LOOK_AGAIN_MS = 10_000;

/** One Instance: gather, plan, act, and its status once at the end. */
export async function reconcileInstance(
  context: InstanceContext,
  namespace: string,
  name: string,
): Promise<Outcome> {
  const instance = context.instances.get(namespace, name);
  if (!instance) return DONE;
  const status = new StatusDraft(context, instance);
  try {
    if (instance.metadata.deletionTimestamp) {
      const outcome = await deleteInstance(context, instance);
      context.failures.forget(instance.metadata.uid ?? '');
      return outcome;
    }
    if (!isAsOrdered(instance)) return await status.writeEdited();
    const required = requirements(context, instance);
    const { blueprint, parameters } = required;
    const opened = await openParameters(context, instance, blueprint.spec, parameters);
    const subject = { instance, ...required, ...opened, inventory: inventoryOf(instance) };
    const settled = await settleChildren(context, subject, (inventory, drift) =>
      status.writeAhead(inventory, drift),
    );
    await removeLeftOver(context, instance, settled, status);
    await takeUpClaims(context, instance, settled.live.values());
    await unstickRollouts(context, instance, settled.live.values());
    observe(context, subject, settled, status);
    await explain(context, instance, settled, status);
    status.accept(immutableValues(blueprint.spec, parameters));
    await endRegeneration(context, subject, settled, status.newest);
    return await status.write(settled.throttledMs);
  } catch (error) {
    if (error instanceof Unmet) return status.writeUnmet(error);
    if (error instanceof Outdated) return retry(error.message);
    if (error instanceof ExpressionProblem)
      return status.writeStalled('ExpressionFailed', `${error.message}; ${error.remedy}`);
    return status.writeFailure(error);
  }
}

/** Nodes that the Blueprint no longer wants: gone after a quorum read, or still in the inventory. */
async function removeLeftOver(
  context: InstanceContext,
  instance: InstanceObject,
  settled: Settled,
  status: StatusDraft,
): Promise<void> {
  const { inventory, remove } = settled.plan;
  let left = remove;
  if (remove.length > 0 && mayRemove(settled)) {
    await requireCurrent(context, instance);
    const policy = policyWhileAlive(policyOf(instance.spec));
    const progress = await removeChildren(context.cluster, instance, remove, policy, context.clock());
    ({ left } = progress);
    if (progress.blocked) status.facts.leftOver = progress.blocked;
  }
  status.inventory = inventory
    .filter((entry) => !remove.includes(entry) || left.includes(entry))
    .map((entry) => {
      const { uid, deletionTimestamp } = settled.live.get(entry.name)?.metadata ?? {};
      const isCurrent = !remove.includes(entry) && uid !== undefined && !deletionTimestamp;
      return isCurrent && !status.isForeign(settled, entry) ? { ...entry, uid } : entry;
    });
  status.leftOver = left.length;
}

/** What the new version no longer has may be all there is, as long as what takes its place is not there. */
const mayRemove = ({ rejected, conflicts, plan }: Settled): boolean =>
  rejected.length === 0 && conflicts.length === 0 && plan.refused.length === 0 && plan.lost.length === 0;

/**
 * A permission to replace lost values is for once: over when the Secret has its values, and not while it is refused. Of
 * the version that we know: whoever has given another one meanwhile does not lose it.
 */
async function endRegeneration(
  context: InstanceContext,
  { instance, children }: Subject,
  { live }: Settled,
  newest: InstanceObject,
): Promise<void> {
  const name = instance.metadata.annotations?.[ANNOTATIONS.regenerate];
  const child = children.find((one) => one.name === name);
  const secret = child && live.get(child.name);
  if (!secret || missingKeys(child, secret).length > 0) return;
  const { uid, resourceVersion, annotations } = newest.metadata;
  if (annotations?.[ANNOTATIONS.regenerate] !== name) return;
  const metadata = { uid, resourceVersion, annotations: { [ANNOTATIONS.regenerate]: null } };
  await context.cluster.mergePatch(refOf(instance), { metadata });
}

function observe(
  context: InstanceContext,
  { instance, blueprint, children }: Subject,
  settled: Settled,
  status: StatusDraft,
): void {
  const { facts } = status;
  facts.suspended = instance.spec?.suspend ?? false;
  facts.waiting = settled.plan.waiting;
  facts.podFailures = podFailures([...context.pods(instance.metadata.uid ?? '')], context.clock());
  for (const child of children) {
    if (settled.plan.waiting.some(({ name }) => name === child.name)) continue;
    const object = `${child.compiled.kind}/${child.name}`;
    const live = settled.live.get(child.name);
    const replicas = replicasOf(settled.wanted.get(child.name));
    facts.nodes.push({
      object,
      ...childState(child, live, settled.scope, instance, context.clock(), replicas),
    });
  }
  const [conflict] = settled.conflicts;
  const [rejected] = settled.rejected;
  const [lost] = settled.plan.lost;
  const [refused] = settled.plan.refused;
  if (conflict)
    facts.stalled = {
      reason: 'NameConflict',
      message: `${conflict.object} exists and is not ours: ${conflict.why}; rename or delete it, or choose another name for the Instance`,
    };
  else if (lost)
    facts.stalled = {
      reason: 'GeneratedValueLost',
      message: `${lost.keys.join(', ')} of Secret/${lost.facts.name} was generated and is gone, and what uses it may know no other value; put the Secret back from a backup, or have a new value made with kubectl annotate instance ${instance.metadata.name} -n ${instance.metadata.namespace} ${ANNOTATIONS.regenerate}=${lost.facts.name}`,
    };
  else if (rejected)
    facts.stalled = {
      reason: 'ApplyRejected',
      message: `${rejected.object} was refused: ${rejected.message.slice(0, 1500)}`,
    };
  else if (refused) facts.stalled = { reason: refused.reason, message: refused.message };
  status.outputs = renderOutputs(blueprint, settled.scope);
  status.addDrift(settled);
}

function replicasOf(wanted: KubeObject | undefined): number | undefined {
  const { replicas } = (wanted?.spec ?? {}) as { replicas?: unknown };
  return typeof replicas === 'number' ? replicas : undefined;
}

/** Asks for Events only where no status says why the Instance makes no progress. */
async function explain(
  context: InstanceContext,
  instance: InstanceObject,
  settled: Settled,
  { facts }: StatusDraft,
): Promise<void> {
  const { uid = '', namespace = '' } = instance.metadata;
  const isOpen = facts.nodes.some((node) => node.state === 'progressing');
  if (!isOpen || facts.suspended || facts.podFailures.length > 0) return;
  const stuck = stuckObject(settled.live.values(), [...context.pods(uid)], context.clock());
  if (!stuck) return;
  try {
    const found = explained(stuck, await context.cluster.warnings(namespace, stuck.metadata.uid ?? ''));
    if (found) facts.podFailures = [found];
  } catch (error) {
    // An explanation is not worth a failure; it is looked for again with the next look.
    if (!(error instanceof ClusterError)) throw error;
  }
}

/** What will be written as status, once, on every way out. */
class StatusDraft {
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
        reason: 'DriftReported',
        message: `${fight?.object ?? 'a child'} is changed again and again by ${fight?.manager ?? 'somebody'}; repairs pause for up to a minute; stop the other writer, or let the Blueprint ignore the field`,
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
