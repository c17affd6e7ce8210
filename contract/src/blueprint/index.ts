export {
  type CompiledBlueprint,
  type CompiledNode,
  type CompiledOutput,
  checkBlueprint,
  compileBlueprint,
} from './compile.ts';
export { ExpressionProblem } from './expression.ts';
export { POD_TEMPLATE_PATH } from './manifest.ts';
export type { ParameterSchema } from './parameter-schema.ts';
export { applyDefaults, checkImmutable, checkParameters, immutableValues } from './parameters.ts';
export { isRecord, type Problem, pointer, pointerSegments } from './problem.ts';
export {
  childNameOf,
  createScope,
  holds,
  isWanted,
  type Rendered,
  renderNode,
  renderOutputs,
  type Scope,
} from './render.ts';
