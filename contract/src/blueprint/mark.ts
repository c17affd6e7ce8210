import { canonicalJson } from '../canonical.ts';
import type { ObjectMeta } from '../resources/object.ts';
import { evaluate } from './evaluate.ts';
import { type Expression, parameterPath } from './expression.ts';
import { isRecord } from './problem.ts';
import { type Each, type Scope, variables } from './scope.ts';
import { isSealed, isSecretReference, type SecretReference } from './sensitive.ts';

/** Begins what stands for a value that is not known here; no parameter and no object of Kubernetes holds it. */
const UNKNOWN = '\u0000';
export const isUnknown = (value: unknown): boolean => canonicalJson(value ?? null).includes('\\u0000');

/** Stands for a value that is not told: the same as long as `what` is. */
const hiddenMark = (what: unknown): string => `${UNKNOWN}${canonicalJson(what)}`;

/** Stands for what a Secret that somebody else keeps holds, in this version of it. */
export const referenceMark = (
  { secretRef: { name, key } }: SecretReference,
  { uid, resourceVersion }: Pick<ObjectMeta, 'uid' | 'resourceVersion'>,
): string => hiddenMark([name, key, uid, resourceVersion]);

/** Stands for the value of an expression: the same as long as nothing that it reads is another. */
export function markOf(
  { source, params, usesEach }: Expression,
  { given }: Scope,
  each?: Partial<Each>,
  besides: readonly string[] = [],
): string {
  // An item of a loop is made of parameters, whichever.
  const read = usesEach ? given : Object.fromEntries([...params].map((name) => [name, given[name]]));
  return hiddenMark([source, read, each?.key, besides]);
}

/** The same for the value of a sensitive parameter, which is here only as it is kept: a map keeps its keys. */
export function secretMark(expression: Expression, scope: Scope, each?: Partial<Each>): unknown {
  if (!parameterPath(expression.run.ast)) return markOf(expression, scope, each);
  return marked(evaluate(expression, variables(scope)));
}

function marked(value: unknown): unknown {
  if (isSealed(value) || isSecretReference(value)) return hiddenMark(value);
  if (Array.isArray(value)) return value.map(marked);
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, marked(item)]));
}
