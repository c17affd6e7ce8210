import {
  applyDefaults,
  type BlueprintObject,
  type CompiledBlueprint,
  checkParameters,
  childrenOfInstance,
  compileBlueprint,
  ExpressionProblem,
  type InstanceObject,
  type InventoryEntry,
  ItemsProblem,
  type PlannedChild,
  type Problem,
  tellProblems,
} from '@felucca/contract';
import { Failure } from '../failure.ts';

/** What a Blueprint makes of an Instance's parameters. */
export interface Product {
  compiled: CompiledBlueprint;
  /** With their defaults. */
  parameters: Record<string, unknown>;
  planned: PlannedChild[];
}

/** Why there is none: the Blueprint is wrong, the parameters are, or an expression fails with them. */
export interface NoProduct {
  of: 'blueprint' | 'parameters' | 'expression';
  problems: Problem[];
}

/** With the operator's own code, so that an answer does not depend on the operator having looked. */
export function makeProduct({ spec }: BlueprintObject, instance: InstanceObject): Product | NoProduct {
  const { compiled, problems } = compileBlueprint(spec);
  if (!compiled) return { of: 'blueprint', problems };
  const wrong = checkParameters(compiled.spec, instance.spec?.parameters, 'hidden');
  if (wrong.length > 0) return { of: 'parameters', problems: wrong };
  const parameters = applyDefaults(compiled.spec, instance.spec?.parameters);
  try {
    return { compiled, parameters, planned: childrenOfInstance(instance, compiled, parameters) };
  } catch (error) {
    if (!(error instanceof ExpressionProblem)) throw error;
    const of = error instanceof ItemsProblem ? 'parameters' : 'expression';
    return { of, problems: [{ path: '', message: error.message, remedy: error.remedy }] };
  }
}

/** The child that an entry of the inventory is of; undefined when it is wanted no more. */
export const plannedOf = (
  product: Product | undefined,
  { kind, name }: InventoryEntry,
): PlannedChild | undefined =>
  product?.planned.find((planned) => planned.name === name && planned.compiled.kind === kind);

export const isProduct = (made: Product | NoProduct): made is Product => 'compiled' in made;

/** In one line of a terminal, or a few. */
export const MAX_PROBLEMS_LENGTH = 1_000;

/** @throws Failure where there is nothing to compare or preview. */
export function productOf(blueprint: BlueprintObject, instance: InstanceObject): Product {
  const made = makeProduct(blueprint, instance);
  if (isProduct(made)) return made;
  const what = {
    blueprint: `Blueprint ${blueprint.metadata.name}`,
    parameters: 'the parameters',
    expression: 'an expression',
  };
  // Each problem says itself what to do.
  throw new Failure(`${what[made.of]} cannot be used: ${tellProblems(made.problems, MAX_PROBLEMS_LENGTH)}`);
}
