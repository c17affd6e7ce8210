import {
  ANNOTATIONS,
  applyDefaults,
  blueprintObjectName,
  type CompiledBlueprint,
  canonicalJson,
  checkParameters,
  ExpressionProblem,
  FINALIZER,
  holds,
  type InstanceObject,
  type InstanceStatus,
  type InventoryEntry,
  immutableValues,
  type Problem,
  type Reason,
  renderOutputs,
} from '@felucca/contract';
import { DONE, type Outcome } from '../../runtime/outcome.ts';
import { ClusterError, type LiveObject } from '../cluster.ts';
import { writeStatus } from '../status-writer.ts';
import { type InstanceFacts, instanceConditions, type NodeState } from './conditions.ts';
import type { InstanceContext } from './context.ts';
import { addFinalizer, deleteInstance } from './delete-instance.ts';
import { withDrift } from './drift-record.ts';
import { podFailures } from './pod-failures.ts';
import { readinessOf } from './readiness.ts';
import { removeChildren } from './remove-children.ts';
import { type Settled, settleChildren } from './settle.ts';

/** Nothing watches what these wait for (quota, rights, a foreign object), so they are looked at again. */
const RETRY_STALLED_MS = 30_000;
const LOOK_AGAIN_MS = 10_000;

class Stalled extends Error {
  readonly reason: Reason;
  constructor(reason: Reason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** One Instance: gather, plan, act, and its status once at the end. */
export async function reconcileInstance(
  context: InstanceContext,
  namespace: string,
  name: string,
): Promise<Outcome> {
  const cached = context.instances.get(namespace, name);
  if (!cached) return DONE;
  const instance = context.ownWrites.newest(cached);
  if (instance.metadata.deletionTimestamp) return deleteInstance(context, instance);
  const status = new StatusDraft(context, instance);
  try {
    requireTenant(context, namespace);
    const blueprint = requireBlueprint(context, instance);
    const parameters = requireParameters(blueprint, instance);
    const subject = { instance, blueprint, parameters, inventory: instance.status?.inventory ?? [] };
    const settled = await settleChildren(context, subject, (inventory) => status.writeAhead(inventory));
    await removeLeftOver(context, instance, settled, status);
    observe(context, blueprint, instance, settled, status);
    status.accept(immutableValues(blueprint.spec, parameters));
    return await status.write(settled.throttledMs);
  } catch (error) {
    if (error instanceof Stalled) return status.writeStalled(error.reason, error.message);
    if (error instanceof ExpressionProblem)
      return status.writeStalled('ExpressionFailed', `${error.message}; ${error.remedy}`);
    if (error instanceof ClusterError) return status.writeRetry(error);
    throw error;
  }
}

function requireTenant(context: InstanceContext, namespace: string): void {
  const organization = /^tenant-(.+)$/.exec(namespace)?.[1];
  const tenant = organization ? context.tenants.get(undefined, organization) : undefined;
  if (!tenant)
    throw new Stalled(
      'TenantNotReady',
      `namespace ${namespace} does not belong to a Tenant; create the Instance in the namespace of one`,
    );
  const ready = tenant.status?.conditions?.find((condition) => condition.type === 'Ready');
  if (ready?.status !== 'True')
    throw new Stalled(
      'TenantNotReady',
      `Tenant ${organization} is not ready: ${ready?.message ?? 'not handled yet'}`,
    );
}

function requireBlueprint(context: InstanceContext, instance: InstanceObject): CompiledBlueprint {
  const { name = '', version = '' } = instance.spec?.blueprintRef ?? {};
  const object = blueprintObjectName(name, version);
  const blueprint = context.blueprints.get(undefined, object);
  if (!blueprint || blueprint.spec?.name !== name || blueprint.spec.version !== version)
    throw new Stalled(
      'BlueprintNotFound',
      `Blueprint ${object} (${name} ${version}) is not on this cluster; apply it, or pin a version that is`,
    );
  const { compiled, problems } = context.compiled.get(blueprint);
  if (!compiled)
    throw new Stalled(
      'BlueprintInvalid',
      `Blueprint ${object} has ${problems.length} problems; kubectl describe blueprint ${object} says where`,
    );
  return compiled;
}

function requireParameters(blueprint: CompiledBlueprint, instance: InstanceObject): Record<string, unknown> {
  const problems = checkParameters(blueprint.spec, instance.spec?.parameters);
  if (problems.length > 0) throw new Stalled('ParametersInvalid', listProblems(problems));
  const accepted = instance.status?.immutable ?? {};
  const wanted = immutableValues(blueprint.spec, instance.spec?.parameters);
  const changed = Object.keys(accepted).filter(
    (path) => path in wanted && canonicalJson(accepted[path]) !== canonicalJson(wanted[path]),
  );
  if (changed.length > 0)
    throw new Stalled(
      'ParametersInvalid',
      changed
        .map((path) => `${path} cannot change after creation (it is ${JSON.stringify(accepted[path])})`)
        .join('; ')
        .concat('; set the old value again, or create a new Instance'),
    );
  return applyDefaults(blueprint.spec, instance.spec?.parameters);
}

export const listProblems = (problems: readonly Problem[]): string =>
  problems
    .slice(0, 5)
    .map(({ path, message, remedy }) => `${path || '/'} ${message}: ${remedy}`)
    .join('; ')
    .concat(problems.length > 5 ? `; and ${problems.length - 5} more` : '');

/** Nodes that the Blueprint no longer wants: gone after a quorum read, or still in the inventory. */
async function removeLeftOver(
  context: InstanceContext,
  instance: InstanceObject,
  settled: Settled,
  status: StatusDraft,
): Promise<void> {
  const { inventory, remove } = settled.plan;
  let left = remove;
  if (remove.length > 0)
    left = (await removeChildren(context.cluster, instance, remove, context.clock())).left;
  status.inventory = inventory
    .filter((entry) => !remove.includes(entry) || left.includes(entry))
    .map((entry) => {
      const uid = settled.live.get(entry.node)?.metadata.uid;
      const isCurrent = !remove.includes(entry) && uid !== undefined && !status.isForeign(settled, entry);
      return isCurrent ? { ...entry, uid } : entry;
    });
  status.leftOver = left.length;
}

function observe(
  context: InstanceContext,
  blueprint: CompiledBlueprint,
  instance: InstanceObject,
  settled: Settled,
  status: StatusDraft,
): void {
  const { facts } = status;
  facts.suspended = instance.spec?.suspend ?? false;
  facts.waiting = settled.plan.waiting;
  facts.podFailures = podFailures([...context.pods(instance.metadata.uid ?? '')], context.clock());
  for (const entry of settled.plan.inventory) {
    const node = blueprint.nodes.find((item) => item.node.id === entry.node);
    const live = settled.live.get(entry.node);
    if (settled.plan.remove.includes(entry) || !node) continue;
    const isWaiting = settled.plan.waiting.some((item) => item.node === entry.node);
    if (!isWaiting) facts.nodes.push(nodeState(node, entry, live, settled, facts.suspended));
  }
  const [conflict] = settled.conflicts;
  const [rejected] = settled.rejected;
  if (conflict)
    facts.stalled = {
      reason: 'NameConflict',
      message: `${conflict.object} exists and is not ours; rename or delete it, or choose another name for the Instance`,
    };
  else if (rejected)
    facts.stalled = {
      reason: 'ApplyRejected',
      message: `${rejected.object} was refused: ${rejected.message.slice(0, 1500)}`,
    };
  status.outputs = renderOutputs(blueprint, settled.scope);
  status.addDrift(settled);
}

function nodeState(
  node: CompiledBlueprint['nodes'][number],
  entry: InventoryEntry,
  live: LiveObject | undefined,
  settled: Settled,
  suspended: boolean,
): NodeState {
  const object = `${entry.kind}/${entry.name}`;
  if (!live) return { object, state: 'progressing', message: 'it does not exist yet' };
  if (live.metadata.deletionTimestamp)
    return { object, state: 'progressing', message: 'it is being deleted and will be made again' };
  const rule = suspended ? undefined : node.failed.find((item) => holds(item.when, settled.scope, live));
  if (rule) {
    const { reason, audience, message } = rule;
    return { object, state: 'failed', reason, audience, message: message || 'its failure rule holds' };
  }
  const byKind = readinessOf(live);
  if (byKind.state === 'failed' || node.ready.length === 0 || suspended)
    return { object, state: byKind.state, message: byKind.state === 'ready' ? '' : byKind.message };
  const unmet = node.ready.find((item) => !holds(item, settled.scope, live));
  return unmet
    ? { object, state: 'progressing', message: `not ready: ${unmet.source} does not hold yet` }
    : { object, state: 'ready', message: '' };
}

/** What will be written as status, once, on every way out. */
class StatusDraft {
  readonly facts: InstanceFacts = { waiting: [], nodes: [], podFailures: [], suspended: false };
  inventory: InventoryEntry[];
  outputs: InstanceStatus['outputs'];
  leftOver = 0;
  readonly #context: InstanceContext;
  #instance: InstanceObject;
  #drift: NonNullable<InstanceStatus['drift']>;
  #driftCount: number;
  #immutable: InstanceStatus['immutable'];

  constructor(context: InstanceContext, instance: InstanceObject) {
    this.#context = context;
    this.#instance = instance;
    this.inventory = instance.status?.inventory ?? [];
    this.outputs = instance.status?.outputs;
    this.#drift = instance.status?.drift ?? [];
    this.#driftCount = instance.status?.driftCount ?? 0;
    this.#immutable = instance.status?.immutable;
  }

  /** Finalizer and inventory are durable before the first child exists; one status write in all. */
  async writeAhead(inventory: InventoryEntry[]): Promise<void> {
    await addFinalizer(this.#context, this.#instance);
    const known = this.#instance.status?.inventory ?? [];
    const isNew = inventory.some(
      (entry) => !known.some((old) => old.kind === entry.kind && old.name === entry.name),
    );
    this.inventory = inventory;
    if (!isNew && this.#instance.metadata.finalizers?.includes(FINALIZER)) return;
    this.facts.nodes = inventory.map((entry) => ({
      object: `${entry.kind}/${entry.name}`,
      state: 'progressing',
      message: 'it does not exist yet',
    }));
    await this.#write();
    this.facts.nodes = [];
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
    for (const record of drift)
      this.#context.emit(this.#instance, {
        type: record.action === 'corrected' ? 'Normal' : 'Warning',
        reason: record.action === 'corrected' ? 'DriftCorrected' : 'DriftReported',
        message: `${record.object} ${record.path || 'was deleted'}: expected ${record.expected}, found ${record.actual}, changed by ${record.manager}`,
      });
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
    else if (this.#drift.length > 0) {
      const last = this.#drift[0];
      this.facts.drift = {
        status: 'False',
        reason: 'DriftCorrected',
        message: `owned fields are as desired; ${this.#driftCount} differences so far, the last in ${last?.object} at ${last?.detectedAt}`,
      };
    }
  }

  async write(throttledMs: number): Promise<Outcome> {
    await this.#write();
    const { facts } = this;
    if (facts.stalled) return { kind: 'waiting', afterMs: RETRY_STALLED_MS, why: facts.stalled.message };
    if (throttledMs > 0) return { kind: 'waiting', afterMs: throttledMs, why: 'repairs are throttled' };
    if (this.leftOver > 0) return { kind: 'waiting', afterMs: 2_000, why: 'children are being removed' };
    const isSettled = facts.waiting.length === 0 && facts.nodes.every((node) => node.state === 'ready');
    return isSettled ? DONE : { kind: 'waiting', afterMs: LOOK_AGAIN_MS, why: 'children are progressing' };
  }

  async writeStalled(reason: Reason, message: string): Promise<Outcome> {
    this.facts.stalled = { reason, message };
    await this.#write();
    return { kind: 'terminal', why: message };
  }

  async writeRetry(error: ClusterError): Promise<Outcome> {
    const why = `${error.message}; it is retried`;
    // A conflict is two writers meeting, not news for anybody.
    if (error.status !== 409 && error.status !== 0 && error.status !== 404) {
      this.facts.retryable = why;
      await this.#write();
    }
    return { kind: 'retry', why, error: error.cause ?? error };
  }

  async #write(): Promise<void> {
    const { metadata } = this.#instance;
    const before = this.#instance.status?.conditions ?? [];
    const conditions = instanceConditions(this.#instance, this.facts, this.#context.clock());
    const outputs = this.outputs && Object.keys(this.outputs).length > 0 ? this.outputs : undefined;
    const status: Record<string, unknown> = {
      observedGeneration: metadata.generation ?? 0,
      conditions,
      outputs,
      inventory: this.inventory.length > 0 ? this.inventory : undefined,
      drift: this.#drift.length > 0 ? this.#drift : undefined,
      driftCount: this.#driftCount > 0 ? this.#driftCount : undefined,
      immutable: this.#immutable,
      lastHandledReconcileAt: metadata.annotations?.[ANNOTATIONS.reconcileRequestedAt],
    };
    const written = await writeStatus(this.#context.cluster, this.#instance, status);
    if (!written) return;
    this.#context.ownWrites.remember(written);
    this.#instance = written as unknown as InstanceObject;
    this.#announce(before, conditions);
  }

  #announce(before: InstanceStatus['conditions'], after: InstanceStatus['conditions']): void {
    const of = (list: InstanceStatus['conditions']) => list?.find((item) => item.type === 'Ready');
    const [old, now] = [of(before), of(after)];
    if (!now || (old?.status === now.status && old.reason === now.reason)) return;
    if (['ChildrenProgressing', 'WaitingForField', 'ApiError'].includes(now.reason)) return;
    const isGood = now.status === 'True' || now.reason === 'Suspended';
    this.#context.emit(this.#instance, {
      type: isGood ? 'Normal' : 'Warning',
      reason: now.reason,
      message: now.message,
    });
  }
}
