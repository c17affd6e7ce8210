export { checkBlueprint, checkTypes } from './check-types.ts';
export {
  type CompiledBlueprint,
  type CompiledNode,
  type CompiledOutput,
  compileBlueprint,
} from './compile.ts';
export { ExpressionProblem } from './expression.ts';
export { type KubernetesTypes, kubernetesTypes, OPENAPI_PATHS, PINNED_TYPES } from './kubernetes-types.ts';
export { POD_TEMPLATE_PATH } from './manifest.ts';
export { referenceMark } from './mark.ts';
export type { ParameterSchema } from './parameter-schema.ts';
export {
  applyDefaults,
  checkImmutable,
  checkParameters,
  immutableValues,
  overturned,
  type SensitiveForm,
} from './parameters.ts';
export { checkItems, ItemsProblem, type PlannedChild, plannedChildren } from './planned-children.ts';
export {
  isRecord,
  ownValue,
  type Problem,
  pointer,
  pointerSegments,
  problemLines,
  tellProblems,
} from './problem.ts';
export { holds, type Rendered, renderChild, renderOutputs } from './render.ts';
export { createScope, type Each, type Observed, type Scope } from './scope.ts';
export {
  holdsSealed,
  holdsSensitive,
  isSealed,
  isSecretReference,
  isSensitiveAt,
  mapSensitive,
  type SealedValue,
  type SecretReference,
  sensitiveValues,
} from './sensitive.ts';
