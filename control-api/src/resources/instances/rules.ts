import {
  applyDefaults,
  type BlueprintSpec,
  checkImmutable,
  checkItems,
  checkParameters,
  tenantNamespace,
} from '@felucca/contract';
import { Problem } from '../../http/problems.ts';
import type { DesiredInstance } from '../desired.ts';
import { withKeptValues } from './sealed-parameters.ts';

/**
 * Parameters as they are kept but for the sealing: checked, with the Blueprint's defaults filled in, so that a later
 * change of a default in another version never changes what this tenant ordered.
 * @param given may name sealed values of `kept`
 * @throws Problem INVALID with a pointer to each fault
 */
export function acceptParameters(
  blueprint: BlueprintSpec,
  given: Record<string, unknown>,
  { organization, name }: { organization: string; name: string },
  kept: Record<string, unknown> = {},
): Record<string, unknown> {
  const parameters = withKeptValues(blueprint, applyDefaults(blueprint, given), kept);
  const names = { name, organization, namespace: tenantNamespace(organization) };
  const found = checkParameters(blueprint, parameters, 'plain or sealed');
  // Expressions over parameters that break their schema would only say the same again.
  if (found.length === 0) found.push(...checkItems(blueprint, parameters, names));
  const errors = found.map(({ path, message, remedy }) => ({
    pointer: `/parameters${path}`,
    message,
    remedy,
  }));
  if (errors.length > 0)
    throw new Problem(
      'INVALID',
      `The parameters do not fit ${blueprint.name} ${blueprint.version}; see errors.`,
      { errors },
    );
  return parameters;
}

/** @throws Problem IMMUTABLE naming each parameter that can't change after creation */
export function refuseImmutableChanges(
  blueprint: BlueprintSpec,
  before: DesiredInstance,
  after: Record<string, unknown>,
): void {
  const errors = checkImmutable(blueprint, before.parameters, after).map(({ path, message, remedy }) => ({
    pointer: `/parameters${path}`,
    message,
    remedy,
  }));
  if (errors.length > 0)
    throw new Problem('IMMUTABLE', 'Some parameters are fixed when the Instance is created; see errors.', {
      errors,
    });
}

/** RFC 7396, one value at a time; null removes. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> =
    target !== null && typeof target === 'object' && !Array.isArray(target)
      ? { ...(target as Record<string, unknown>) }
      : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}
