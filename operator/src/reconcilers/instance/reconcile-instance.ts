import {
  ANNOTATIONS,
  childState,
  ExpressionProblem,
  explained,
  type InstanceObject,
  immutableValues,
  inventoryOf,
  type KubeObject,
  podFailures,
  policyOf,
  policyWhileAlive,
  renderOutputs,
  stuckObject,
} from '@felucca/contract';
import { DONE, type Outcome, retry } from '../../runtime/outcome.ts';
import { ClusterError, refOf } from '../cluster.ts';
import { isAsOrdered } from './as-ordered.ts';
import type { InstanceContext } from './context.ts';
import { deleteInstance } from './delete-instance.ts';
import { goingVolumes, volumeRecord, volumesMessage } from './going-volumes.ts';
import { openParameters } from './open-parameters.ts';
import { missingKeys } from './plan.ts';
import { removeChildren } from './remove-children.ts';
import { requirements, Unmet } from './requirements.ts';
import { noteDrift, type Settled, type Subject, settleChildren } from './settle.ts';
import { stalledBy } from './stalled-by.ts';
import { StatusDraft } from './status-draft.ts';
import { Outdated, requireCurrent } from './still-current.ts';
import { unstickRollouts } from './stuck-rollout.ts';
import { takeUpClaims } from './take-up-claims.ts';

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
  const stalled = stalledBy(instance, settled, facts.nodes);
  if (stalled) facts.stalled = stalled;
  status.outputs = renderOutputs(blueprint, settled.scope);
  const going = goingVolumes(context, instance, settled.live.values());
  for (const claim of going) noteDrift(context, instance, settled, volumeRecord(claim, context.clock()));
  status.addDrift(settled);
  if (going.length > 0)
    facts.drift = { status: 'True', reason: 'VolumeGoing', message: volumesMessage(going) };
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
