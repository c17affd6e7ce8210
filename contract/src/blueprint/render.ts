import { childName } from '../identity.ts';
import type { Output } from '../resources/instance.ts';
import type { KubeObject } from '../resources/object.ts';
import type { CompiledBlueprint, CompiledNode, CompiledValue } from './compile.ts';
import { type Expression, ExpressionProblem, evaluate, FieldMissing, toCel } from './expression.ts';

/** What expressions can read, already in CEL's number types. */
export interface Scope {
  params: unknown;
  instance: { name: string; namespace: string; organization: string; uid: string };
  /** Observed children by node id; a child that does not exist yet is absent. */
  nodes: Readonly<Record<string, unknown>>;
}

/** `parameters` must have their defaults and be valid. */
export function createScope(
  compiled: CompiledBlueprint,
  parameters: Record<string, unknown>,
  instance: Scope['instance'],
  observed: Readonly<Record<string, KubeObject>> = {},
): Scope {
  return {
    params: toCel(parameters, compiled.parameters),
    instance,
    nodes: Object.fromEntries(Object.entries(observed).map(([id, object]) => [id, toCel(object)])),
  };
}

/** The child as the template says; `waitingFor` names the field of another child that is not there yet. */
export type Rendered = { object: KubeObject } | { waitingFor: string };

const MAX_RENDERED_BYTES = 256 * 1024;
/** Of all outputs of an Instance: they are part of its status. */
const MAX_OUTPUT_BYTES = 8 * 1024;

/** @throws ExpressionProblem when an expression fails for another reason than a missing field. */
export function renderNode(node: CompiledNode, scope: Scope): Rendered {
  try {
    const body = fill(node.body, variables(scope)) as Record<string, unknown>;
    if (JSON.stringify(body).length > MAX_RENDERED_BYTES)
      throw new ExpressionProblem(
        `node "${node.node.id}" renders to more than ${MAX_RENDERED_BYTES} bytes`,
        'shorten the parameters it contains',
      );
    const metadata = (body.metadata ?? {}) as Record<string, unknown>;
    return {
      object: {
        ...body,
        apiVersion: node.apiVersion,
        kind: node.kind,
        metadata: {
          ...metadata,
          name: childNameOf(node, scope.instance.name),
          namespace: scope.instance.namespace,
        },
      },
    };
  } catch (error) {
    if (error instanceof FieldMissing) return { waitingFor: error.field };
    throw error;
  }
}

export const childNameOf = (node: CompiledNode, instance: string): string =>
  childName(instance, node.node.id, node.node.nameSuffix);

/** Whether the node exists with these parameters. @throws ExpressionProblem */
export const isWanted = (node: CompiledNode, scope: Scope): boolean =>
  node.when.every((expression) => evaluate(expression, variables(scope)) === true);

/** A `ready` or `failed` expression over one observed child; a missing field counts as not yet. */
export function holds(expression: Expression, scope: Scope, self: KubeObject): boolean {
  try {
    return evaluate(expression, { ...variables(scope), self: toCel(self) }) === true;
  } catch (error) {
    if (error instanceof FieldMissing) return false;
    throw error;
  }
}

/** Outputs that can be computed now; one that waits for a field is left out. @throws ExpressionProblem */
export function renderOutputs(compiled: CompiledBlueprint, scope: Scope): Record<string, Output> {
  const outputs: Record<string, Output> = {};
  let bytes = 0;
  for (const { name, expression } of compiled.outputs) {
    if (expression.secretRef) {
      const { node: id, key } = expression.secretRef;
      const node = compiled.nodes.find((item) => item.node.id === id);
      if (node && scope.nodes[id] !== undefined)
        outputs[name] = { secretRef: { name: childNameOf(node, scope.instance.name), key } };
      continue;
    }
    try {
      const value = evaluate(expression, variables(scope));
      bytes += Buffer.byteLength(JSON.stringify(value));
      if (bytes > MAX_OUTPUT_BYTES)
        throw new ExpressionProblem(
          `the outputs up to "${name}" have more than ${MAX_OUTPUT_BYTES} bytes`,
          'give out less, or a name under which it can be read',
        );
      outputs[name] = { value };
    } catch (error) {
      if (!(error instanceof FieldMissing)) throw error;
    }
  }
  return outputs;
}

const variables = (scope: Scope): Record<string, unknown> => ({
  ...scope.nodes,
  params: scope.params,
  instance: scope.instance,
});

function fill(value: CompiledValue, vars: Record<string, unknown>): unknown {
  switch (value.kind) {
    case 'literal':
      return structuredClone(value.value);
    case 'expression':
      return evaluate(value.expression, vars);
    case 'text':
      return value.parts.map((part) => (typeof part === 'string' ? part : asText(part, vars))).join('');
    case 'list':
      return value.items.map((item) => fill(item, vars));
    case 'map':
      return Object.fromEntries(value.entries.map(([key, item]) => [key, fill(item, vars)]));
  }
}

function asText(expression: Expression, vars: Record<string, unknown>): string {
  const value = evaluate(expression, vars);
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return String(value);
  throw new ExpressionProblem(
    `"${expression.source}" gives ${value === null ? 'null' : 'a list or map'} inside a text`,
    'make the expression the whole value',
  );
}
