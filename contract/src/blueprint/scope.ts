import type { KubeObject } from '../resources/object.ts';
import type { CompiledBlueprint } from './compile.ts';

import { toCel, type Variables } from './evaluate.ts';
import { EvaluationBudget } from './evaluation-budget.ts';

/** What expressions can read, already in CEL's number types. */
export interface Scope {
  params: unknown;
  /** The parameters as JSON, what is sensitive in them as it is kept. */
  given: Record<string, unknown>;
  /** `params` with the sensitive values themselves; only the operator has them. */
  opened?: unknown;
  instance: { name: string; namespace: string; organization: string; uid: string };
  /**
   * Observed children by node id, and by key below it for a node with `forEach`. What does not exist yet is absent;
   * the children of one `forEach` are there once all of them are.
   */
  nodes: Readonly<Record<string, unknown>>;
  /** For everything that is evaluated over this scope. */
  budget: EvaluationBudget;
}

/** The item of a `forEach` that a child is made for. */
export interface Each {
  key: string;
  value: unknown;
  index: bigint;
}

export type Observed = Readonly<Record<string, KubeObject | Readonly<Record<string, KubeObject>>>>;

/** `parameters` must have their defaults and be valid. */
export function createScope(
  compiled: CompiledBlueprint,
  parameters: Record<string, unknown>,
  instance: Scope['instance'],
  observed: Observed = {},
  opened?: Record<string, unknown>,
): Scope {
  return {
    params: toCel(parameters, compiled.parameters),
    given: parameters,
    ...(opened ? { opened: toCel(opened, compiled.parameters) } : {}),
    instance,
    nodes: Object.fromEntries(Object.entries(observed).map(([id, object]) => [id, toCel(object)])),
    budget: new EvaluationBudget(),
  };
}

export const variables = (
  scope: Scope,
  more: { each?: Partial<Each>; self?: KubeObject; params?: unknown } = {},
): Variables => ({
  values: {
    ...scope.nodes,
    params: more.params ?? scope.params,
    instance: scope.instance,
    ...(more.each ? { each: more.each } : {}),
    ...(more.self ? { self: toCel(more.self) } : {}),
  },
  budget: scope.budget,
});
