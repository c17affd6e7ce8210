import {
  type BlueprintObject,
  blueprintObjectName,
  type Condition,
  type ConditionInput,
  setCondition,
  withoutCondition,
} from '@felucca/contract';
import { DONE, type Outcome } from '../../runtime/outcome.ts';
import type { Lookup, ReconcilerCluster, WallClock } from '../cluster.ts';
import { ownConditions, writeStatus } from '../status-writer.ts';
import type { CompiledBlueprints } from './compiled-blueprints.ts';

export interface BlueprintContext {
  cluster: ReconcilerCluster;
  blueprints: Lookup<BlueprintObject>;
  compiled: CompiledBlueprints;
  clock: WallClock;
}

/** One Blueprint: checked and compiled once; its conditions say what is wrong where. */
export async function reconcileBlueprint(context: BlueprintContext, name: string): Promise<Outcome> {
  const blueprint = context.blueprints.get(undefined, name);
  if (!blueprint || blueprint.metadata.deletionTimestamp) return DONE;
  const { digest, problems } = context.compiled.get(blueprint);
  const wrongName = wrongNameOf(blueprint);
  const found = [
    ...(wrongName ? [wrongName] : []),
    ...problems.map(({ path, message, remedy }) => `${path || '/'} ${message}: ${remedy}`),
  ];
  const more = found.length > 8 ? `; and ${found.length - 8} more` : '';
  const ready: Pick<ConditionInput, 'status' | 'reason' | 'message'> =
    found.length === 0
      ? { status: 'True', reason: 'Valid', message: 'schema, expressions and references are sound' }
      : { status: 'False', reason: 'BlueprintInvalid', message: found.slice(0, 8).join('; ') + more };
  const generation = blueprint.metadata.generation ?? 0;
  let conditions: readonly Condition[] = ownConditions(blueprint);
  conditions = setCondition(conditions, { type: 'Ready', ...ready }, generation, context.clock());
  conditions =
    found.length === 0
      ? withoutCondition(conditions, 'Stalled')
      : setCondition(conditions, { type: 'Stalled', ...ready, status: 'True' }, generation, context.clock());
  await writeStatus(context.cluster, blueprint, {
    observedGeneration: generation,
    conditions: [...conditions],
    digest,
  });
  return found.length === 0 ? DONE : { kind: 'terminal', why: ready.message };
}

function wrongNameOf({ metadata, spec }: BlueprintObject): string | undefined {
  const wanted = blueprintObjectName(spec?.name ?? '', spec?.version ?? '');
  return metadata.name === wanted
    ? undefined
    : `/metadata/name must be "${wanted}" for name "${spec?.name}" and version "${spec?.version}": rename the object`;
}
