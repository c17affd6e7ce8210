import type { CompiledNode, CompiledValue } from '../blueprint/compile.ts';
import { type Expression, parameterPath } from '../blueprint/expression.ts';
import type { ParameterSchema } from '../blueprint/parameter-schema.ts';
import { isRecord, pointer, pointerSegments, quoteList } from '../blueprint/problem.ts';
import { holdsSensitive } from '../blueprint/sensitive.ts';
import { isSecretValue } from '../children/owned-fields.ts';

/** The parameter that a field of a child is, or why it is none and what to change instead. */
export type FieldOrigin = { parameter: string; schema: ParameterSchema } | { refusal: string };

/**
 * Which parameter decides about a field: only one that the template takes over as it is, for a value that goes
 * through an expression cannot be taken back through it.
 * @param path JSON pointer in the child
 */
export function parameterOfField(
  { node, body, forEach }: CompiledNode,
  path: string,
  parameters: ParameterSchema,
): FieldOrigin {
  if (isSecretValue(String(node.manifest.kind), path))
    return refuse('values of a Secret never leave the cluster', 'set the parameter that it comes from');
  if (path === '')
    return refuse(
      'the whole child was deleted',
      'change the parameters by which the Blueprint does not want it, if there are any',
    );
  const found = find(body, pointerSegments(path));
  if (found === 'absent')
    return refuse('the Blueprint does not set this field, the operator does', 'leave it as it is');
  if (found === 'fixed')
    return refuse(
      'the Blueprint sets this field to a fixed value',
      `publish a version with another value, or one that ignores drift there (node "${node.id}")`,
    );
  const { expression, rest } = found;
  const names = parameterPath(expression.run.ast);
  const schema = names && schemaAt(parameters, [...names, ...rest]);
  if (!names || !schema) return computed(expression, forEach?.items.source);
  if (holdsSensitive(schema)) return sensitive();
  return { parameter: pointer('', ...names, ...rest), schema };
}

/** The same of a field that somebody changed in the Instance object itself. */
export function parameterOfEdit(path: string, parameters: ParameterSchema): FieldOrigin {
  const [spec, field, ...names] = pointerSegments(path);
  const schema =
    spec === 'spec' && field === 'parameters' && names.length > 0 ? schemaAt(parameters, names) : undefined;
  if (!schema) return refuse('it is no parameter', 'change the Instance itself');
  if (holdsSensitive(schema)) return sensitive();
  return { parameter: pointer('', ...names), schema };
}

const sensitive = (): FieldOrigin =>
  refuse('it is a sensitive parameter', 'set that parameter; drift does not tell its value');

const refuse = (why: string, instead: string): FieldOrigin => ({ refusal: `${why}; ${instead}` });

function computed({ source, nodes, params, usesEach }: Expression, items = ''): FieldOrigin {
  const why = `the Blueprint computes this field: \${${source}}`;
  if (usesEach) return refuse(why, `change this child's item in \${${items}}`);
  if (nodes.size > 0) return refuse(`${why}, from other children`, 'change those');
  return params.size === 0
    ? refuse(why, 'publish a version that makes it a parameter')
    : refuse(why, `set ${quoteList(params)} so that it gives the wanted value`);
}

type Found = { expression: Expression; rest: string[] } | 'fixed' | 'absent';

function find(value: CompiledValue, segments: string[]): Found {
  const [first, ...rest] = segments;
  switch (value.kind) {
    case 'expression':
      return { expression: value.expression, rest: segments };
    case 'text': {
      const only = value.parts.find((part) => typeof part !== 'string');
      return only ? { expression: only, rest: [TEXT_AROUND] } : 'fixed';
    }
    case 'literal':
      return segments.length === 0 || hasField(value.value, segments) ? 'fixed' : 'absent';
    case 'list': {
      const item = value.items[Number(first)];
      return first === undefined ? 'fixed' : item ? find(item, rest) : 'absent';
    }
    case 'map': {
      const entry = value.entries.find(([key]) => key === first);
      return first === undefined ? 'fixed' : entry ? find(entry[1], rest) : 'absent';
    }
  }
}

/** No parameter has a part of this name: a text around an expression is a computation. */
const TEXT_AROUND = '';

function hasField(value: unknown, segments: readonly string[]): boolean {
  let inner = value;
  for (const segment of segments) {
    if (Array.isArray(inner)) inner = inner[Number(segment)];
    else inner = isRecord(inner) ? inner[segment] : undefined;
  }
  return inner !== undefined;
}

/** Through objects and maps; an item of a list has no name of its own. */
function schemaAt(schema: ParameterSchema, names: readonly string[]): ParameterSchema | undefined {
  let inner: ParameterSchema | undefined = schema;
  for (const name of names) {
    if (name === TEXT_AROUND || !inner) return undefined;
    inner = Object.hasOwn(inner.properties ?? {}, name)
      ? inner.properties?.[name]
      : inner.additionalProperties;
  }
  return inner;
}
