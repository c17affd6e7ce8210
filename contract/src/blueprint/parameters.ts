import { canonicalJson } from '../canonical.ts';
import { counted } from '../plain-words.ts';
import type { BlueprintSpec } from '../resources/blueprint.ts';
import { DEFAULT_MAX_ITEMS, DEFAULT_MAX_LENGTH, type ParameterSchema } from './parameter-schema.ts';
import { matchesPattern } from './pattern.ts';
import { isRecord, MAX_PROBLEMS, ownValue, type Problem, pointer, quoteList } from './problem.ts';
import { holdsSensitive, isSealed, isSecretReference } from './sensitive.ts';

type Parameters = Record<string, unknown>;
const schemaOf = (spec: Pick<BlueprintSpec, 'parameters'>): ParameterSchema =>
  spec.parameters as unknown as ParameterSchema;

/**
 * Parameters with the schema's defaults filled in, as Kubernetes does: a default inside an object
 * counts only where that object exists. The input is not changed.
 */
export function applyDefaults(
  spec: Pick<BlueprintSpec, 'parameters'>,
  parameters: Parameters | undefined,
): Parameters {
  return withDefaults(schemaOf(spec), parameters ?? {}) as Parameters;
}

function withDefaults(schema: ParameterSchema, value: unknown): unknown {
  if (value === undefined) {
    if (schema.default === undefined) return undefined;
    return withDefaults(schema, structuredClone(schema.default));
  }
  if (Array.isArray(value) && schema.items) {
    const { items } = schema;
    return value.map((item) => withDefaults(items, item));
  }
  if (!isRecord(value) || schema.type !== 'object') return value;
  const result: Parameters = {};
  for (const [name, item] of Object.entries(value)) {
    if (name === '__proto__') continue;
    const inner = ownValue(schema.properties, name) ?? schema.additionalProperties;
    result[name] = inner ? withDefaults(inner, item) : item;
  }
  for (const [name, inner] of Object.entries(schema.properties ?? {})) {
    if (Object.hasOwn(result, name)) continue;
    const filled = withDefaults(inner, undefined);
    if (filled !== undefined) result[name] = filled;
  }
  return result;
}

/** What may stand at a sensitive place: the value (the default), only what hides it, or the value or a sealed one. */
export type SensitiveForm = 'plain' | 'hidden' | 'plain or sealed';

/** Problems of an Instance's parameters against its Blueprint's schema; pointers start at the parameters. */
export function checkParameters(
  spec: Pick<BlueprintSpec, 'parameters'>,
  parameters: unknown,
  form: SensitiveForm = 'plain',
): Problem[] {
  if (parameters !== undefined && !isRecord(parameters))
    return [{ path: '', message: 'must be an object', remedy: 'send the parameters as an object' }];
  if (parameters && Object.hasOwn(parameters, '__proto__'))
    return [{ path: '/__proto__', message: 'is not a parameter', remedy: 'remove it' }];
  return checkValue(schemaOf(spec), applyDefaults(spec, parameters), '', form);
}

/** Problems of one value; used for defaults inside a schema, too. */
export function checkValue(
  root: ParameterSchema,
  rootValue: unknown,
  base: string,
  form: SensitiveForm = 'plain',
): Problem[] {
  const problems: Problem[] = [];
  const add = (path: string, message: string, remedy: string): void => {
    if (problems.length < MAX_PROBLEMS) problems.push({ path, message, remedy });
  };

  const visit = (schema: ParameterSchema, value: unknown, path: string): void => {
    if (schema.sensitive && form !== 'plain') {
      if (isSealed(value) || (form === 'hidden' && isSecretReference(value))) return;
      if (form === 'hidden') {
        add(
          path,
          'is sensitive and may not stand here in the clear',
          'order it through the API, which seals the value, or name a Secret of this namespace as {secretRef: {name, key}}',
        );
        return;
      }
    }
    if (!hasType(schema.type, value)) {
      add(
        path,
        `must be of type "${schema.type}", got ${describe(schema, value)}`,
        `send a value of type "${schema.type}"`,
      );
      return;
    }
    if (schema.enum && !schema.enum.includes(value as string)) {
      add(
        path,
        `must be one of ${quoteList(schema.enum.map(String))}, got ${describe(schema, value)}`,
        'choose one of the listed values',
      );
      return;
    }
    if (typeof value === 'string') visitString(schema, value, path);
    if (typeof value === 'number') {
      if (schema.minimum !== undefined && value < schema.minimum)
        add(path, `must be at least ${schema.minimum}, got ${value}`, 'choose a larger value');
      if (schema.maximum !== undefined && value > schema.maximum)
        add(path, `must be at most ${schema.maximum}, got ${value}`, 'choose a smaller value');
    }
    if (Array.isArray(value)) visitArray(schema, value, path);
    else if (isRecord(value)) visitObject(schema, value, path);
  };

  const visitString = (schema: ParameterSchema, value: string, path: string): void => {
    // No environment of a process can hold the one, and no UTF-8 the other.
    if (value.includes('\0') || !value.isWellFormed()) {
      add(path, 'holds U+0000 or half of a surrogate pair', 'remove that character');
      return;
    }
    const length = [...value].length;
    const got = (count: number): string => (schema.sensitive ? '' : `, got ${count}`);
    const most = schema.maxLength ?? DEFAULT_MAX_LENGTH;
    if (length > most) {
      add(path, `must have at most ${counted(most, 'character')}${got(length)}`, 'shorten the value');
      return;
    }
    if (schema.minLength !== undefined && length < schema.minLength)
      add(
        path,
        `must have at least ${counted(schema.minLength, 'character')}${got(length)}`,
        'lengthen the value',
      );
    if (schema.pattern !== undefined && !matchesPattern(schema.pattern, value))
      add(
        path,
        `must match the pattern '${schema.pattern}', got ${describe(schema, value)}`,
        schema.description ?? 'send a value in the wanted form',
      );
  };

  const visitArray = (schema: ParameterSchema, value: unknown[], path: string): void => {
    const most = schema.maxItems ?? DEFAULT_MAX_ITEMS;
    if (value.length > most) {
      add(path, `must have at most ${counted(most, 'item')}, got ${value.length}`, 'remove items');
      return;
    }
    if (schema.minItems !== undefined && value.length < schema.minItems)
      add(path, `must have at least ${counted(schema.minItems, 'item')}, got ${value.length}`, 'add items');
    const { items } = schema;
    if (items) for (const [index, item] of value.entries()) visit(items, item, pointer(path, index));
  };

  const visitObject = (schema: ParameterSchema, value: Parameters, path: string): void => {
    const names = Object.keys(value);
    const most = schema.maxProperties ?? DEFAULT_MAX_ITEMS;
    if (schema.additionalProperties && names.length > most) {
      add(path, `must have at most ${most} entries, got ${names.length}`, 'remove entries');
      return;
    }
    for (const name of names) {
      const inner = ownValue(schema.properties, name) ?? schema.additionalProperties;
      if (!inner)
        add(
          pointer(path, name),
          `is unknown; the Blueprint offers ${quoteList(Object.keys(schema.properties ?? {}))}`,
          'remove it or correct its name',
        );
      else if (name.length > 253)
        add(pointer(path, name.slice(0, 32)), 'has a name of more than 253 characters', 'shorten the name');
      else visit(inner, value[name], pointer(path, name));
    }
    for (const name of schema.required ?? [])
      if (!Object.hasOwn(value, name))
        add(
          pointer(path, name),
          'is required',
          schema.properties?.[name]?.description ?? 'send a value for it',
        );
  };

  visit(root, rootValue, base);
  return problems;
}

/**
 * Parameters marked `immutable` that differ between an existing Instance and a wanted one.
 * Both sides get their defaults first, so a value that equals the default is no change.
 */
export function checkImmutable(
  spec: Pick<BlueprintSpec, 'parameters'>,
  before: Parameters | undefined,
  after: Parameters | undefined,
): Problem[] {
  const old = immutableValues(spec, before);
  const wanted = immutableValues(spec, after);
  const problems: Problem[] = [];
  for (const path of new Set([...Object.keys(old), ...Object.keys(wanted)]))
    if (canonicalJson(old[path] ?? null) !== canonicalJson(wanted[path] ?? null))
      problems.push({
        path,
        message: 'cannot change after the Instance was created',
        remedy: 'set the old value again, or create a new Instance and move the data',
      });
  return problems.slice(0, MAX_PROBLEMS);
}

/** Of the values that were accepted, those that would become others. One that the Blueprint has no more is free. */
export const overturned = (
  accepted: Readonly<Record<string, unknown>>,
  wanted: Readonly<Record<string, unknown>>,
): [path: string, accepted: unknown][] =>
  Object.entries(accepted).filter(
    ([path, value]) => path in wanted && canonicalJson(value) !== canonicalJson(wanted[path]),
  );

/** Values of all parameters marked `immutable`, by pointer; what an operator remembers of an Instance. */
export function immutableValues(
  spec: Pick<BlueprintSpec, 'parameters'>,
  parameters: Parameters | undefined,
): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  const visit = (schema: ParameterSchema, value: unknown, path: string): void => {
    if (schema.immutable && value !== undefined) found[path] = value;
    else if (isRecord(value))
      for (const [name, inner] of Object.entries(schema.properties ?? {}))
        visit(inner, value[name], pointer(path, name));
  };
  visit(schemaOf(spec), applyDefaults(spec, parameters), '');
  return found;
}

function hasType(type: ParameterSchema['type'], value: unknown): boolean {
  if (type === 'object') return isRecord(value);
  if (type === 'array') return Array.isArray(value);
  // Integers travel through CEL as 64-bit and through JSON as doubles: only exact ones are let in.
  if (type === 'integer') return Number.isSafeInteger(value);
  if (type === 'number') return Number.isFinite(value);
  return typeof value === type;
}

function describe(schema: ParameterSchema, value: unknown): string {
  if (isRecord(value) && ('sealed' in value || 'secretRef' in value)) return 'a sensitive value';
  // Whoever mistakes the place of a secret must not read it in a log.
  if (holdsSensitive(schema)) return 'a value that is not shown';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return 'an object';
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 64 ? `${text.slice(0, 61)}…` : text;
}
