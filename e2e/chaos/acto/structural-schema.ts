/** What we read of a structural schema: of a CRD's spec, and of a Blueprint's parameters. */
export interface Schema {
  type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  properties?: Record<string, Schema>;
  additionalProperties?: Schema;
  items?: Schema;
  required?: string[];
  enum?: unknown[];
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  maxProperties?: number;
  default?: unknown;
  immutable?: boolean;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
}

/** One property, item or entry below the root, containers included. */
export interface Leaf {
  /** Property names; `*` is any item of a list or entry of a map. */
  path: string[];
  schema: Schema;
}

export function leavesOf(schema: Schema, path: string[] = []): Leaf[] {
  const below = (step: string, inner: Schema): Leaf[] => [
    { path: [...path, step], schema: inner },
    ...leavesOf(inner, [...path, step]),
  ];
  return [
    ...Object.entries(schema.properties ?? {}).flatMap(([name, inner]) => below(name, inner)),
    ...(schema.items ? below('*', schema.items) : []),
    ...(schema.additionalProperties ? below('*', schema.additionalProperties) : []),
  ];
}

/** The API server drops null from custom resources before it checks; a Blueprint's schema calls it a wrong type. */
export type Nulls = 'dropped' | 'wrong';

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Where a value breaks its schema. A second, naive reading of the rules, on purpose: it shares no code with the
 * API server nor with the operator, whose verdicts it predicts.
 */
export function violationsOf(schema: Schema, value: unknown, nulls: Nulls, path: string[] = []): string[][] {
  const isRight = {
    object: isObject(value),
    array: Array.isArray(value),
    string: typeof value === 'string',
    integer: Number.isSafeInteger(value),
    number: Number.isFinite(value),
    boolean: typeof value === 'boolean',
  };
  if (schema.type && !isRight[schema.type]) return [path];
  if (schema.enum && !schema.enum.includes(value)) return [path];
  if (typeof value === 'string') return breaksText(schema, value) ? [path] : [];
  if (typeof value === 'number')
    return value < (schema.minimum ?? -Infinity) || value > (schema.maximum ?? Infinity) ? [path] : [];
  if (Array.isArray(value)) {
    const outside = value.length < (schema.minItems ?? 0) || value.length > (schema.maxItems ?? Infinity);
    const { items } = schema;
    const inner = items
      ? value.flatMap((item, index) => violationsOf(items, item, nulls, [...path, String(index)]))
      : [];
    return [...(outside ? [path] : []), ...inner];
  }
  return isObject(value) ? ofObject(schema, value, nulls, path) : [];
}

function ofObject(schema: Schema, value: Record<string, unknown>, nulls: Nulls, path: string[]): string[][] {
  const found: string[][] = [];
  const isGone = (name: string): boolean =>
    value[name] === undefined || (value[name] === null && nulls === 'dropped');
  const names = Object.keys(value).filter((name) => !isGone(name));
  if (schema.additionalProperties && names.length > (schema.maxProperties ?? 64)) found.push(path);
  for (const name of names) {
    const inner = own(schema.properties, name) ?? schema.additionalProperties;
    if (inner) found.push(...violationsOf(inner, value[name], nulls, [...path, name]));
    else if (!schema['x-kubernetes-preserve-unknown-fields']) found.push([...path, name]);
  }
  for (const name of schema.required ?? [])
    if (isGone(name) && schema.properties?.[name]?.default === undefined) found.push([...path, name]);
  return found;
}

const own = (schemas: Record<string, Schema> = {}, name: string): Schema | undefined =>
  Object.hasOwn(schemas, name) ? schemas[name] : undefined;

function breaksText({ pattern, minLength = 0, maxLength = 4096 }: Schema, value: string): boolean {
  const length = [...value].length;
  if (length < minLength || length > maxLength) return true;
  return pattern !== undefined && !new RegExp(pattern, 'u').test(value);
}

/** The value with every default of the schema filled in, where its parent exists. */
export function withDefaults(schema: Schema, value: unknown): unknown {
  const filled = value === undefined ? structuredClone(schema.default) : value;
  if (!isObject(filled) || !schema.properties) return filled;
  const inner = Object.entries(schema.properties).map(([name, item]) => [
    name,
    withDefaults(item, filled[name]),
  ]);
  return { ...filled, ...Object.fromEntries(inner.filter(([, item]) => item !== undefined)) };
}
