import { patternProblem } from './pattern.ts';
import { isRecord, type Problem, pointer, quoteList } from './problem.ts';

/** The subset of JSON Schema that a Blueprint's parameters are written in (Kubernetes-structural). */
export interface ParameterSchema {
  type: 'object' | 'string' | 'integer' | 'number' | 'boolean' | 'array';
  title?: string;
  description?: string;
  default?: unknown;
  enum?: (string | number | boolean)[];
  properties?: Record<string, ParameterSchema>;
  required?: string[];
  additionalProperties?: ParameterSchema;
  maxProperties?: number;
  items?: ParameterSchema;
  minItems?: number;
  maxItems?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  /** Cannot change after the Instance exists. */
  immutable?: boolean;
  /** A secret: may only be used in Secret nodes, and is never repeated in a message. */
  sensitive?: boolean;
  /** A change of it changes the price. */
  billable?: boolean;
}

const COMMON = ['type', 'title', 'description', 'default', 'immutable', 'billable'];
const KEYWORDS: Record<ParameterSchema['type'], readonly string[]> = {
  object: [...COMMON, 'properties', 'required', 'additionalProperties', 'maxProperties'],
  array: [...COMMON, 'items', 'minItems', 'maxItems'],
  string: [...COMMON, 'enum', 'minLength', 'maxLength', 'pattern', 'sensitive'],
  integer: [...COMMON, 'enum', 'minimum', 'maximum'],
  number: [...COMMON, 'enum', 'minimum', 'maximum'],
  boolean: [...COMMON, 'enum'],
};
const MAX_DEPTH = 6;
const MAX_SCHEMAS = 256;
/** Strings and containers without their own bound get these: every value has a bound. */
export const DEFAULT_MAX_LENGTH = 4096;
export const DEFAULT_MAX_ITEMS = 64;
/** Loops of expressions run over them, nested twice at most. */
const MAX_ITEMS = 1_024;
/** Input of a pattern: work grows with it. */
const MAX_PATTERN_INPUT = 256;
// What an expression can name after a dot: no CEL keyword, nothing inherited from a JavaScript object.
const PROPERTY_NAME = /^[a-zA-Z][a-zA-Z0-9_]{0,63}$/;
const RESERVED = new Set(
  'as break const continue else false for function if import in let loop namespace null package return true var void while constructor toString valueOf hasOwnProperty'.split(
    ' ',
  ),
);

const numeric = ['minLength', 'maxLength', 'minItems', 'maxItems', 'maxProperties'] as const;

/** Problems of the schema itself. `base` is the pointer of the schema in the Blueprint's spec. */
export function checkParameterSchema(schema: unknown, base = '/parameters'): Problem[] {
  const problems: Problem[] = [];
  let count = 0;
  const add = (path: string, message: string, remedy: string): void => {
    problems.push({ path, message, remedy });
  };

  const visit = (value: unknown, path: string, depth: number, isFixed = false): void => {
    count += 1;
    if (count > MAX_SCHEMAS) {
      if (count === MAX_SCHEMAS + 1)
        add(path, `the schema has more than ${MAX_SCHEMAS} parts`, 'offer fewer parameters');
      return;
    }
    if (!isRecord(value)) {
      add(path, 'must be a schema object', 'write for example {type: string}');
      return;
    }
    if (depth > MAX_DEPTH) {
      add(path, `is nested deeper than ${MAX_DEPTH} levels`, 'flatten the parameters');
      return;
    }
    const type = value.type;
    if (typeof type !== 'string' || !Object.hasOwn(KEYWORDS, type)) {
      add(
        pointer(path, 'type'),
        `must be one of ${quoteList(Object.keys(KEYWORDS))}`,
        'set the type of this parameter',
      );
      return;
    }
    const schema = value as unknown as ParameterSchema;
    const allowed = KEYWORDS[schema.type];
    for (const key of Object.keys(value))
      if (!allowed.includes(key))
        add(
          pointer(path, key),
          `"${key}" is not a keyword of a schema of type "${type}"`,
          `use only ${quoteList(allowed)}`,
        );
    for (const mark of ['immutable', 'sensitive', 'billable'] as const)
      if (value[mark] !== undefined && typeof value[mark] !== 'boolean')
        add(pointer(path, mark), 'must be true or false', 'correct the mark');
    for (const key of ['title', 'description'] as const)
      if (
        value[key] !== undefined &&
        (typeof value[key] !== 'string' || (value[key] as string).length > 2048)
      )
        add(pointer(path, key), 'must be a text of at most 2048 characters', 'shorten it');
    for (const key of numeric)
      if (value[key] !== undefined && !(Number.isSafeInteger(value[key]) && (value[key] as number) >= 0))
        add(pointer(path, key), 'must be a whole number of at least 0', 'correct the bound');
    for (const key of ['maxItems', 'maxProperties'] as const)
      if (typeof value[key] === 'number' && value[key] > MAX_ITEMS)
        add(pointer(path, key), `may be at most ${MAX_ITEMS}`, 'lower it');
    for (const key of ['minimum', 'maximum'] as const)
      if (value[key] !== undefined && !Number.isFinite(value[key]))
        add(pointer(path, key), 'must be a number', 'correct the bound');
    for (const [low, high] of [
      ['minimum', 'maximum'],
      ['minLength', 'maxLength'],
      ['minItems', 'maxItems'],
    ] as const)
      if (typeof schema[low] === 'number' && typeof schema[high] === 'number' && schema[low] > schema[high])
        add(pointer(path, low), `is larger than \`${high}\``, 'swap or correct the bounds');
    const isFixedHere = isFixed || schema.immutable === true;
    if (schema.enum !== undefined) visitEnum(schema, path);
    if (schema.type === 'object') visitObject(schema, path, depth, isFixedHere);
    if (schema.type === 'array') {
      if (schema.items === undefined)
        add(pointer(path, 'items'), 'an array must say what its items are', 'add `items`');
      else visit(schema.items, pointer(path, 'items'), depth + 1, isFixedHere);
    }
    if (schema.type === 'string') visitString(schema, path);
    if (schema.sensitive && isFixedHere)
      add(
        pointer(path, schema.immutable ? 'immutable' : 'sensitive'),
        'a secret must stay replaceable, and its old value is not kept for a comparison',
        'remove one of the marks, here or on what it is a part of',
      );
    if (schema.sensitive && schema.default !== undefined)
      add(
        pointer(path, 'default'),
        'a sensitive parameter may not have a default: every tenant would share the secret',
        'remove the default, or let a Secret node `generate` the value',
      );
  };

  const visitEnum = (schema: ParameterSchema, path: string): void => {
    const list: unknown = schema.enum;
    const wanted = schema.type === 'string' ? 'string' : schema.type === 'boolean' ? 'boolean' : 'number';
    if (!Array.isArray(list) || list.length === 0 || list.length > 100) {
      add(pointer(path, 'enum'), 'must list 1 to 100 values', 'list the values that may be chosen');
      return;
    }
    for (const [index, item] of list.entries())
      if (typeof item !== wanted || (schema.type === 'integer' && !Number.isSafeInteger(item)))
        add(pointer(path, 'enum', index), `is not of type "${schema.type}"`, 'make type and values agree');
  };

  const visitString = (schema: ParameterSchema, path: string): void => {
    if (schema.maxLength !== undefined && schema.maxLength > 65_536)
      add(pointer(path, 'maxLength'), 'may be at most 65536', 'lower it');
    if (schema.pattern === undefined) return;
    const problem = patternProblem(schema.pattern);
    if (problem) add(pointer(path, 'pattern'), problem.message, problem.remedy);
    if (schema.maxLength === undefined || schema.maxLength > MAX_PATTERN_INPUT)
      add(
        pointer(path, 'maxLength'),
        `a string with a pattern needs a maxLength of at most ${MAX_PATTERN_INPUT}`,
        'set `maxLength`',
      );
  };

  const visitObject = (schema: ParameterSchema, path: string, depth: number, isFixed: boolean): void => {
    const properties: unknown = schema.properties;
    if (properties !== undefined && !isRecord(properties)) {
      add(pointer(path, 'properties'), 'must map names to schemas', 'correct it');
      return;
    }
    if (properties && schema.additionalProperties !== undefined)
      add(
        pointer(path, 'additionalProperties'),
        'may not stand beside `properties` in a structural schema',
        'put the free keys into a parameter of their own',
      );
    for (const [name, property] of Object.entries(properties ?? {})) {
      if (!PROPERTY_NAME.test(name) || RESERVED.has(name))
        add(
          pointer(path, 'properties', name),
          `"${name}" cannot be named in an expression`,
          'start with a letter, then letters, digits and "_", at most 64, and no CEL keyword',
        );
      visit(property, pointer(path, 'properties', name), depth + 1, isFixed);
    }
    if (schema.additionalProperties !== undefined)
      visit(schema.additionalProperties, pointer(path, 'additionalProperties'), depth + 1, isFixed);
    const required: unknown = schema.required;
    if (required === undefined) return;
    if (!Array.isArray(required)) {
      add(pointer(path, 'required'), 'must be a list of property names', 'correct it');
      return;
    }
    for (const [index, name] of required.entries())
      if (typeof name !== 'string' || !Object.hasOwn(properties ?? {}, name))
        add(
          pointer(path, 'required', index),
          `"${String(name)}" is not a property; there are ${quoteList(Object.keys(properties ?? {}))}`,
          'name an existing property',
        );
  };

  if (!isRecord(schema) || schema.type !== 'object')
    add(pointer(base, 'type'), 'the parameters must be of type "object"', 'set type: object');
  else visit(schema, base, 0);
  return problems;
}
