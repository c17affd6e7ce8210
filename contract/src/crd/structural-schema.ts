import { z } from 'zod';

/** Kubernetes-structural schema: what a CustomResourceDefinition takes. */
export interface StructuralSchema {
  type?: string;
  description?: string;
  properties?: Record<string, StructuralSchema>;
  additionalProperties?: StructuralSchema;
  items?: StructuralSchema;
  required?: string[];
  enum?: unknown[];
  default?: unknown;
  pattern?: string;
  format?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  maxProperties?: number;
  'x-kubernetes-preserve-unknown-fields'?: true;
  'x-kubernetes-list-type'?: 'map' | 'atomic' | 'set';
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-validations'?: ValidationRule[];
}

export interface ValidationRule {
  rule: string;
  message: string;
  fieldPath?: string;
  reason?: 'FieldValueInvalid' | 'FieldValueForbidden' | 'FieldValueRequired' | 'FieldValueDuplicate';
}

// Everything needs a bound, or the API server rejects CEL rules whose worst case it cannot estimate.
const DEFAULT_MAX_LENGTH = 4096;
const DEFAULT_MAX_ITEMS = 64;
const DEFAULT_MAX_PROPERTIES = 64;

/** Keywords that carry over unchanged. */
const KEPT = [
  'type',
  'description',
  'enum',
  'default',
  'pattern',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
] as const;

/**
 * The CRD schema of a Zod schema. Zod's own JSON Schema is close, but a structural schema has no
 * `additionalProperties: false` beside `properties`, no `const`, no untyped unions and no `propertyNames`.
 */
export function structuralSchema(schema: z.ZodType): StructuralSchema {
  return structural(
    z.toJSONSchema(schema, { target: 'draft-7', io: 'input', unrepresentable: 'any' }) as JsonSchema,
  );
}

interface JsonSchema extends Omit<StructuralSchema, 'additionalProperties' | 'properties' | 'items'> {
  const?: unknown;
  anyOf?: JsonSchema[];
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
  additionalProperties?: boolean | JsonSchema;
}

function structural(json: JsonSchema): StructuralSchema {
  const result: StructuralSchema = {};
  for (const key of KEPT) if (json[key] !== undefined) Object.assign(result, { [key]: json[key] });
  // Unions of objects are leaves of the status; typed alternatives cannot be said structurally.
  if (json.anyOf) return { ...result, type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  if (json.const !== undefined) Object.assign(result, { type: typeof json.const, enum: [json.const] });
  if (json.type === undefined && json.const === undefined && !json.enum)
    return { ...result, 'x-kubernetes-preserve-unknown-fields': true };
  if (result.enum && result.type === undefined) result.type = 'string';
  if (result.type === 'string' && !result.enum) result.maxLength ??= DEFAULT_MAX_LENGTH;
  if (result.type === 'integer') Object.assign(result, integerBounds(json));
  if (result.type === 'array') {
    result.maxItems ??= DEFAULT_MAX_ITEMS;
    result.items = structural(json.items ?? {});
  }
  if (result.type === 'object') Object.assign(result, objectParts(json));
  return result;
}

function integerBounds(json: JsonSchema): StructuralSchema {
  // Zod marks integers with the safe range; a CRD says int64 instead.
  const minimum =
    json.minimum !== undefined && json.minimum > Number.MIN_SAFE_INTEGER ? json.minimum : undefined;
  const maximum =
    json.maximum !== undefined && json.maximum < Number.MAX_SAFE_INTEGER ? json.maximum : undefined;
  return {
    format: 'int64',
    ...(minimum === undefined ? {} : { minimum }),
    ...(maximum === undefined ? {} : { maximum }),
  };
}

function objectParts(json: JsonSchema): StructuralSchema {
  if (json.properties) {
    const properties = Object.fromEntries(
      Object.entries(json.properties).map(([key, value]) => [key, structural(value)]),
    );
    return { properties, ...(json.required?.length ? { required: json.required } : {}) };
  }
  const value = typeof json.additionalProperties === 'object' ? json.additionalProperties : {};
  const free = Object.keys(value).length === 0;
  return free
    ? { 'x-kubernetes-preserve-unknown-fields': true }
    : { additionalProperties: structural(value), maxProperties: DEFAULT_MAX_PROPERTIES };
}
