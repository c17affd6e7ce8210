import {
  type BlueprintObject,
  blueprintObjectName,
  type ConditionInput,
  checkTypes,
  type KubernetesTypes,
  type Problem,
  setCondition,
  tellProblems,
  withoutCondition,
} from '@felucca/contract';
import { DONE, type Outcome } from '../../runtime/outcome.ts';
import { announcement } from '../announcement.ts';
import {
  ClusterError,
  type EmitEvent,
  type Lookup,
  type ReconcilerCluster,
  type WallClock,
} from '../cluster.ts';
import { failureOf } from '../failure.ts';
import { ownConditions, writeStatus } from '../status-writer.ts';
import type { ClusterTypes } from './cluster-types.ts';
import type { CompiledBlueprints } from './compiled-blueprints.ts';

export interface BlueprintContext {
  cluster: ReconcilerCluster;
  blueprints: Lookup<BlueprintObject>;
  compiled: CompiledBlueprints;
  types: ClusterTypes;
  emit: EmitEvent;
  clock: WallClock;
}

/** Clusters are upgraded: what does not fit today may fit then. */
const CHECK_AGAIN_MS = 3_600_000;
const ASK_AGAIN_MS = 60_000;
/** Two conditions carry it. */
const MAX_MESSAGE = 8_000;

/**
 * One Blueprint: checked and compiled once, and held against the kinds of this cluster; its conditions say what is
 * wrong where. What only does not fit the kinds is told and keeps no Instance back: the API server judges each child.
 */
export async function reconcileBlueprint(context: BlueprintContext, name: string): Promise<Outcome> {
  const blueprint = context.blueprints.get(undefined, name);
  if (!blueprint || blueprint.metadata.deletionTimestamp) return DONE;
  try {
    const types = await context.types.get();
    const { ready, digest } = verdictOn(context, blueprint, types);
    await write(context, blueprint, { ready, stalled: ready.status === 'False', digest });
    if (ready.reason === 'BlueprintInvalid') return { kind: 'terminal', why: ready.message };
    if (!types)
      return { kind: 'waiting', afterMs: ASK_AGAIN_MS, why: 'the API server does not describe its kinds' };
    return ready.status === 'True' ? DONE : { kind: 'waiting', afterMs: CHECK_AGAIN_MS, why: ready.message };
  } catch (error) {
    // The status is all that is written here: when that fails, there is nothing to tell with.
    if (error instanceof ClusterError) throw error;
    const { reason, message } = failureOf(error);
    await write(context, blueprint, { ready: { status: 'False', reason, message }, failed: true });
    throw error;
  }
}

type Ready = Pick<ConditionInput, 'status' | 'reason' | 'message'>;

function verdictOn(
  context: BlueprintContext,
  blueprint: BlueprintObject,
  types: KubernetesTypes | undefined,
): { ready: Ready; digest: string } {
  const { digest, problems, compiled } = context.compiled.get(blueprint);
  const misfits = compiled && types ? checkTypes(compiled, types) : [];
  const found = [...wrongNameOf(blueprint), ...problems, ...misfits];
  const reason = found.length > misfits.length ? 'BlueprintInvalid' : 'KindMismatch';
  const ready: Ready =
    found.length === 0
      ? { status: 'True', reason: 'Valid', message: 'schema, expressions and references are sound' }
      : { status: 'False', reason, message: tellProblems(found, MAX_MESSAGE) };
  return { ready, digest };
}

async function write(
  context: BlueprintContext,
  blueprint: BlueprintObject,
  facts: { ready: Ready; stalled?: boolean; failed?: boolean; digest?: string },
): Promise<void> {
  const generation = blueprint.metadata.generation ?? 0;
  const before = ownConditions(blueprint);
  const { ready, stalled = false, failed = false, digest } = facts;
  let conditions = setCondition(before, { type: 'Ready', ...ready }, generation, context.clock());
  const flag = (type: ConditionInput['type'], on: boolean): void => {
    conditions = on
      ? setCondition(conditions, { type, ...ready, status: 'True' }, generation, context.clock())
      : withoutCondition(conditions, type);
  };
  flag('Stalled', stalled);
  flag('Reconciling', failed);
  const status = { observedGeneration: generation, conditions: [...conditions], digest };
  const written = await writeStatus(context.cluster, blueprint, status);
  const event = written && announcement(before, conditions);
  if (event) context.emit(blueprint, event);
}

function wrongNameOf({ metadata, spec }: BlueprintObject): Problem[] {
  const wanted = blueprintObjectName(spec?.name ?? '', spec?.version ?? '');
  if (metadata.name === wanted) return [];
  const message = `must be "${wanted}" for name "${spec?.name}" and version "${spec?.version}"`;
  return [{ path: '/metadata/name', message, remedy: 'rename the object' }];
}
