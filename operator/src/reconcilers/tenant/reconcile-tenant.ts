import {
  API_VERSION,
  type Condition,
  type ConditionInput,
  changer,
  counted,
  type DriftRecord,
  LABELS,
  setCondition,
  type TenantObject,
  tenantNamespace,
  withoutCondition,
} from '@felucca/contract';
import { DONE, type Outcome } from '../../runtime/outcome.ts';
import { allEnded } from '../all-ended.ts';
import { announcement } from '../announcement.ts';
import {
  ClusterError,
  type EmitEvent,
  type Lookup,
  type ReconcilerCluster,
  refOf,
  type WallClock,
} from '../cluster.ts';
import { type FailurePatience, failureOf } from '../failure.ts';
import { addOurFinalizer, hasFinalizer, removeOurFinalizer } from '../finalizer.ts';
import type { ReconcilerMetrics } from '../instance/context.ts';
import type { RepairThrottle } from '../instance/repair-throttle.ts';
import { ownConditions, writeStatus } from '../status-writer.ts';
import { desiredBinding, desiredNamespace, desiredTenantObjects, type OperatorIdentity } from './desired.ts';
import { GuardRails } from './guard-rails.ts';
import { namespaceGoing } from './namespace-going.ts';

export interface TenantContext {
  cluster: ReconcilerCluster;
  /** The same without the deadline of this reconcile: what took too long is told afterwards. */
  afterwards: ReconcilerCluster;
  tenants: Lookup<TenantObject>;
  operator: OperatorIdentity;
  failures: FailurePatience;
  throttle: RepairThrottle;
  metrics: ReconcilerMetrics;
  emit: EmitEvent;
  clock: WallClock;
}

const RECHECK_MS = 5_000;

/** One Tenant: its namespace and everything in it that a tenant needs before the first Instance. */
export async function reconcileTenant(context: TenantContext, name: string): Promise<Outcome> {
  const tenant = context.tenants.get(undefined, name);
  if (!tenant) return DONE;
  const startedMs = context.failures.nowMs();
  try {
    const outcome = tenant.metadata.deletionTimestamp
      ? await deleteTenant(context, tenant)
      : await ensureTenant(context, tenant);
    context.failures.forget(tenant.metadata.uid ?? '');
    return outcome;
  } catch (error) {
    await tellFailure(context, tenant, error, startedMs);
    if (!(error instanceof ClusterError)) throw error;
    return { kind: 'retry', why: error.message, error: error.cause ?? error };
  }
}

async function ensureTenant(context: TenantContext, tenant: TenantObject): Promise<Outcome> {
  const namespaceName = tenantNamespace(tenant.metadata.name);
  const wanted = desiredNamespace(tenant);
  const namespace = await context.cluster.read(refOf(wanted));
  if (namespace && namespace.metadata.labels?.[LABELS.tenant] !== tenant.metadata.name)
    return stalled(
      context,
      tenant,
      `namespace ${namespaceName} exists and is not ours; rename or delete it, or choose another name for the organization`,
    );
  if (namespace?.metadata.deletionTimestamp) {
    const { waitsFor } = namespaceGoing(namespace, context.clock());
    return progressing(
      context,
      tenant,
      `the old namespace ${namespaceName} is still being deleted${waitsFor}`,
    );
  }
  const guardRails = new GuardRails(context, tenant, readyOf(tenant) !== undefined);
  let isNewlyBound = false;
  try {
    await addOurFinalizer(context.cluster, tenant);
    await guardRails.ensureFrom(wanted, namespace);
    isNewlyBound = await guardRails.ensure(desiredBinding(tenant, context.operator));
    await allEnded(desiredTenantObjects(tenant).map((object) => guardRails.ensure(object)));
  } catch (error) {
    // The API server needs a moment to see a new binding.
    if (error instanceof ClusterError && error.status === 403 && isNewlyBound)
      return { kind: 'waiting', afterMs: 200, why: 'the new rights are not effective yet' };
    throw error;
  }
  const { fight, throttledMs } = guardRails;
  await writeConditions(context, tenant, {
    ...(fight ? { fight } : {}),
    ready: {
      status: 'True',
      reason: 'NamespaceReady',
      message: `namespace ${namespaceName} is ready with its account, quota, limits and network policy`,
    },
  });
  return throttledMs > 0 ? { kind: 'waiting', afterMs: throttledMs, why: 'repairs are throttled' } : DONE;
}

async function tellFailure(
  context: TenantContext,
  tenant: TenantObject,
  error: unknown,
  startedMs: number,
): Promise<void> {
  const failure = failureOf(error);
  const { uid = '', generation = 0 } = tenant.metadata;
  if (!context.failures.isDue(uid, generation, failure, startedMs)) return;
  const { reason, message } = failure;
  const facts: TenantFacts = { ready: { status: 'False', reason, message }, reconciling: true };
  // What was ready stays so while a request is only to be repeated: every Instance in it would stop otherwise.
  const kept = failure.isPassing ? readyOf(tenant) : undefined;
  const there = { ...context, cluster: context.afterwards };
  await writeConditions(there, tenant, facts, kept).catch((unwritten: unknown) => {
    if (!(unwritten instanceof ClusterError)) throw unwritten;
  });
}

/** That it is ready in its present generation. */
const readyOf = ({ metadata, status }: TenantObject): TenantFacts['ready'] | undefined =>
  metadata.deletionTimestamp
    ? undefined
    : (status?.conditions?.find(
        ({ type, status, observedGeneration }) =>
          type === 'Ready' && status === 'True' && observedGeneration === metadata.generation,
      ) as TenantFacts['ready'] | undefined);

/** A tenant's namespace goes last: never while Instances live in it. */
async function deleteTenant(context: TenantContext, tenant: TenantObject): Promise<Outcome> {
  if (!hasFinalizer(tenant)) return DONE;
  const wanted = desiredNamespace(tenant);
  const live = await context.cluster.list(API_VERSION, 'Instance', wanted.metadata.name, '');
  if (live.length > 0) {
    const names = live.slice(0, 5).map((instance) => instance.metadata.name);
    const more = live.length > 5 ? ` and ${live.length - 5} more` : '';
    return progressing(
      context,
      tenant,
      `${counted(live.length, 'Instance still lives', 'Instances still live')} in ${wanted.metadata.name} (${names.join(', ')}${more}); delete them first`,
      { blocked: true },
    );
  }
  const namespace = await context.cluster.read(refOf(wanted));
  if (namespace && namespace.metadata.labels?.[LABELS.tenant] === tenant.metadata.name) {
    if (!namespace.metadata.deletionTimestamp)
      await context.cluster.remove(refOf(namespace), namespace.metadata.uid ?? '', 'Background');
    const { waitsFor, isBlocked } = namespaceGoing(namespace, context.clock());
    const message = `waiting for namespace ${wanted.metadata.name} to go away${waitsFor}`;
    return progressing(context, tenant, message, { deleting: true, blocked: isBlocked });
  }
  await removeOurFinalizer(context.cluster, tenant);
  context.throttle.forget(`${tenant.metadata.uid}/`);
  return DONE;
}

async function stalled(context: TenantContext, tenant: TenantObject, message: string): Promise<Outcome> {
  await writeConditions(context, tenant, {
    ready: { status: 'False', reason: 'NamespaceConflict', message },
    stalled: true,
  });
  // Namespaces are not watched; somebody may remove the conflict.
  return { kind: 'waiting', afterMs: 30_000, why: message };
}

async function progressing(
  context: TenantContext,
  tenant: TenantObject,
  message: string,
  how: { blocked?: boolean; deleting?: boolean } = {},
): Promise<Outcome> {
  await writeConditions(context, tenant, {
    ready: {
      status: 'False',
      reason: how.blocked || how.deleting ? 'Deleting' : 'ChildrenProgressing',
      message,
    },
    reconciling: true,
    ...(how.blocked ? { blocked: message } : {}),
  });
  return { kind: 'waiting', afterMs: RECHECK_MS, why: message };
}

interface TenantFacts {
  ready: Pick<ConditionInput, 'status' | 'reason' | 'message'>;
  reconciling?: boolean;
  stalled?: boolean;
  blocked?: string;
  /** Repairs of it are put off. */
  fight?: DriftRecord;
}

async function writeConditions(
  context: TenantContext,
  tenant: TenantObject,
  facts: TenantFacts,
  ready: TenantFacts['ready'] = facts.ready,
): Promise<void> {
  const generation = tenant.metadata.generation ?? 0;
  const before = ownConditions(tenant);
  let conditions: readonly Condition[] = before;
  const flag = (type: ConditionInput['type'], on: boolean, input: TenantFacts['ready']): void => {
    conditions = on
      ? setCondition(conditions, { type, ...input, status: 'True' }, generation, context.clock())
      : withoutCondition(conditions, type);
  };
  const { status, reason, message } = ready;
  conditions = setCondition(
    conditions,
    { type: 'Ready', status, reason, message },
    generation,
    context.clock(),
  );
  flag('Reconciling', facts.reconciling ?? false, facts.ready);
  flag('Stalled', facts.stalled ?? false, facts.ready);
  flag('DeletionBlocked', facts.blocked !== undefined, {
    status: 'True',
    reason: 'ChildStillExists',
    message: facts.blocked ?? '',
  });
  const fight = facts.fight && fightMessage(facts.fight);
  flag('DriftDetected', fight !== undefined, {
    status: 'True',
    reason: 'RepairsPaused',
    message: fight ?? '',
  });
  const written = await writeStatus(context.cluster, tenant, {
    observedGeneration: generation,
    conditions: [...conditions],
    namespace: tenantNamespace(tenant.metadata.name),
  });
  const event = written && announcement(before, conditions);
  if (event) context.emit(tenant, event);
  const isNewFight = written && fight && !before.some(({ type }) => type === 'DriftDetected');
  if (isNewFight) context.emit(tenant, { type: 'Warning', reason: 'RepairsPaused', message: fight });
}

const fightMessage = ({ object, path, manager }: DriftRecord): string =>
  `${object} ${path ? `${path} ` : ''}is changed again and again by ${changer(manager)}; repairs pause for up to a minute; stop the other writer`;
