import { copyOfJson } from '../canonical.ts';
import type { Output } from '../resources/instance.ts';
import type { KubeObject } from '../resources/object.ts';
import type { CompiledBlueprint, CompiledValue } from './compile.ts';
import { evaluate, FieldMissing } from './evaluate.ts';
import { type Expression, ExpressionProblem } from './expression.ts';
import { secretMark } from './mark.ts';
import { childNameOf, type PlannedChild } from './planned-children.ts';
import { type Each, type Scope, variables } from './scope.ts';

/** The child as the template says; `waitingFor` names the field of another child that is not there yet. */
export type Rendered =
  | {
      object: KubeObject;
      /** The same with marks instead of sensitive values, where it has some; without them opened, it is the object. */
      marked?: KubeObject;
    }
  | { waitingFor: string };

const MAX_RENDERED_BYTES = 256 * 1024;
/** Of all outputs of an Instance: they are part of its status. */
const MAX_OUTPUT_BYTES = 8 * 1024;

/** @throws ExpressionProblem when an expression fails for another reason than a missing field. */
export function renderChild(planned: PlannedChild, scope: Scope): Rendered {
  const { each } = planned;
  const { opened } = scope;
  const visible = each ? { each } : {};
  const plain = (expression: Expression): unknown => evaluate(expression, variables(scope, visible));
  let isSecret = false;
  const mark = (expression: Expression): unknown => {
    if (expression.secrets.size === 0) return plain(expression);
    isSecret = true;
    return secretMark(expression, scope, each);
  };
  const open = (expression: Expression): unknown =>
    expression.secrets.size === 0
      ? plain(expression)
      : evaluate(expression, variables(scope, { ...visible, params: opened }));
  try {
    const marked = rendered(planned, scope, mark);
    if (isSecret && opened === undefined) return { object: marked };
    if (!isSecret) return { object: bounded(planned, marked) };
    return { object: bounded(planned, rendered(planned, scope, open)), marked };
  } catch (error) {
    if (error instanceof FieldMissing) return { waitingFor: error.field };
    throw error;
  }
}

function rendered(
  { compiled, name }: PlannedChild,
  scope: Scope,
  value: (expression: Expression) => unknown,
): KubeObject {
  const body = fill(compiled.body, value) as Record<string, unknown>;
  const metadata = (body.metadata ?? {}) as Record<string, unknown>;
  return {
    ...body,
    apiVersion: compiled.apiVersion,
    kind: compiled.kind,
    metadata: { ...metadata, name, namespace: scope.instance.namespace },
  };
}

/** As it is sent, not with marks, which are longer. */
function bounded({ compiled }: PlannedChild, object: KubeObject): KubeObject {
  if (JSON.stringify(object).length <= MAX_RENDERED_BYTES) return object;
  throw new ExpressionProblem(
    `node "${compiled.node.id}" renders to more than ${MAX_RENDERED_BYTES} bytes`,
    'shorten the parameters it contains',
  );
}

/** A `ready` or `failed` expression over one observed child; a missing field counts as not yet. */
export function holds(expression: Expression, scope: Scope, self: KubeObject, each?: Each): boolean {
  try {
    return evaluate(expression, variables(scope, { self, ...(each ? { each } : {}) })) === true;
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

/** The template with a value for each of its expressions. */
export function fill(template: CompiledValue, value: (expression: Expression) => unknown): unknown {
  switch (template.kind) {
    case 'literal':
      return copyOfJson(template.value);
    case 'expression':
      return value(template.expression);
    case 'text':
      return template.parts
        .map((part) => (typeof part === 'string' ? part : asText(part, value(part))))
        .join('');
    case 'list':
      return template.items.map((item) => fill(item, value));
    case 'map':
      return Object.fromEntries(template.entries.map(([key, item]) => [key, fill(item, value)]));
  }
}

function asText(expression: Expression, value: unknown): string {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return String(value);
  throw new ExpressionProblem(
    `"${expression.source}" gives ${value === null ? 'null' : 'a list or map'} inside a text`,
    'make the expression the whole value',
  );
}
