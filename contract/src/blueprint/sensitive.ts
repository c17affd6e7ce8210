import type { BlueprintSpec } from '../resources/blueprint.ts';
import { COMPACT_JWE } from '../sealing.ts';
import type { ParameterSchema } from './parameter-schema.ts';
import { isRecord, pointer } from './problem.ts';

/** A sensitive value as it travels and is kept: a compact JWE that only its data plane can open. */
export interface SealedValue {
  sealed: string;
}
/** How an Instance that was applied with kubectl gives a sensitive value: a key of a Secret in its namespace. */
export interface SecretReference {
  secretRef: { name: string; key: string };
}

export const isSealed = (value: unknown): value is SealedValue =>
  hasOnly(value, ['sealed']) && typeof value.sealed === 'string' && COMPACT_JWE.test(value.sealed);

export const isSecretReference = (value: unknown): value is SecretReference =>
  hasOnly(value, ['secretRef']) &&
  hasOnly(value.secretRef, ['key', 'name']) &&
  Object.values(value.secretRef).every(
    (text) => typeof text === 'string' && /^[-._a-zA-Z0-9]{1,253}$/.test(text),
  );

/** Whether a sealed value is somewhere in it, whatever the schema says. */
export const holdsSealed = (value: unknown): boolean =>
  isSealed(value) || (typeof value === 'object' && value !== null && Object.values(value).some(holdsSealed));

export function holdsSensitive(schema: ParameterSchema): boolean {
  return (
    schema.sensitive === true ||
    Object.values(schema.properties ?? {}).some(holdsSensitive) ||
    (schema.items !== undefined && holdsSensitive(schema.items)) ||
    (schema.additionalProperties !== undefined && holdsSensitive(schema.additionalProperties))
  );
}

/** Whether what is at this place, above it or below it is sensitive. */
export function isSensitiveAt(schema: ParameterSchema, names: readonly string[]): boolean {
  let inner: ParameterSchema | undefined = schema;
  for (const name of names) {
    if (!inner || inner.sensitive) break;
    inner = Object.hasOwn(inner.properties ?? {}, name)
      ? inner.properties?.[name]
      : (inner.additionalProperties ?? inner.items);
  }
  return inner !== undefined && holdsSensitive(inner);
}

/** A copy of the parameters with another value at each place that the Blueprint marks sensitive. */
export function mapSensitive(
  spec: Pick<BlueprintSpec, 'parameters'>,
  parameters: Record<string, unknown>,
  replace: (value: unknown, path: string) => unknown,
): Record<string, unknown> {
  const visit = (schema: ParameterSchema | undefined, value: unknown, path: string): unknown => {
    if (!schema || value === undefined) return value;
    if (schema.sensitive) return replace(value, path);
    if (Array.isArray(value))
      return value.map((item, index) => visit(schema.items, item, pointer(path, index)));
    if (!isRecord(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => {
        const inner = Object.hasOwn(schema.properties ?? {}, name)
          ? schema.properties?.[name]
          : schema.additionalProperties;
        return [name, visit(inner, item, pointer(path, name))];
      }),
    );
  };
  return visit(spec.parameters as unknown as ParameterSchema, parameters, '') as Record<string, unknown>;
}

/** What stands at the sensitive places, by JSON pointer. */
export function sensitiveValues(
  spec: Pick<BlueprintSpec, 'parameters'>,
  parameters: Record<string, unknown>,
): Map<string, unknown> {
  const found = new Map<string, unknown>();
  mapSensitive(spec, parameters, (value, path) => {
    found.set(path, value);
    return value;
  });
  return found;
}

function hasOnly<K extends string>(value: unknown, keys: readonly K[]): value is Record<K, unknown> {
  return isRecord(value) && Object.keys(value).sort().join() === keys.join();
}
