import { type BlueprintObject, compileBlueprint, tellProblems } from '@felucca/contract';
import { conditionOf } from '../facts/conditions.ts';
import type { PlatformFacts } from '../facts/platform.ts';
import { failed, findingOf, type Hop, ok, unknown } from './finding.ts';
import { FIRST_SHARD, shardHop } from './platform.ts';
import { untilFailed, type Walk } from './walk.ts';

/** What was found is all told: nothing has to fit into a condition here. */
const NO_LIMIT = Number.POSITIVE_INFINITY;

/** The table of remedies sends whoever reads a status here. */
const CORRECT = 'publish a corrected version';

/** Why a Blueprint cannot be used: by itself first, which takes no operator, then by what this cluster's operator says. */
export const walkBlueprint = (blueprint: BlueprintObject, platform: PlatformFacts, now: Date): Walk =>
  untilFailed([
    ['definition', () => definitionHop(blueprint)],
    ['operator', () => shardHop(platform, FIRST_SHARD, now)],
    ['ready', () => readyHop(blueprint)],
  ]);

function definitionHop(blueprint: BlueprintObject): Hop {
  const { problems } = compileBlueprint(blueprint.spec);
  if (problems.length === 0) return ok('schema, expressions and references are sound');
  const message = tellProblems(problems, NO_LIMIT);
  return failed(
    findingOf(blueprint, { reason: 'BlueprintInvalid', message }, { audience: 'operator', remedy: CORRECT }),
  );
}

function readyHop(blueprint: BlueprintObject): Hop {
  const ready = conditionOf(blueprint, 'Ready');
  if (!ready) return unknown('the operator has not said so yet');
  if (ready.status === 'True') return ok(ready.message);
  const remedy = ready.reason === 'BlueprintInvalid' ? { remedy: CORRECT } : {};
  return failed(findingOf(blueprint, ready, { audience: 'operator', ...remedy }));
}
