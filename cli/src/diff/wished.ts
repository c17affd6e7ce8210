import {
  type BlueprintObject,
  type BlueprintSpec,
  type InstanceObject,
  immutableValues,
  isRecord,
  overturned,
  type ParameterSchema,
} from '@felucca/contract';
import { Failure } from '../failure.ts';

/** `parameters.<name>[.<name>]=<value>` */
const ASSIGNMENT = /^parameters((?:\.[A-Za-z_][\w-]*)+)=([\s\S]*)$/;

/** The Instance as it would be with other parameters or another version; nothing is written. */
export function wishedInstance(
  instance: InstanceObject,
  blueprint: BlueprintObject,
  assignments: readonly string[],
): InstanceObject {
  const wished = structuredClone(instance);
  const spec = wished.spec!;
  spec.blueprintRef = { name: blueprint.spec!.name, version: blueprint.spec!.version };
  const schema = blueprint.spec!.parameters as unknown as ParameterSchema;
  for (const assignment of assignments) {
    const [, path = '', text = ''] = ASSIGNMENT.exec(assignment) ?? [];
    const names = path.split('.').slice(1);
    if (names.length === 0)
      throw new Failure(`"${assignment}" is not a change`, 'write it as parameters.<name>=<value>');
    spec.parameters = assigned(spec.parameters ?? {}, schema, names, text);
  }
  const fixed = fixedParameters(instance, blueprint.spec!, spec.parameters);
  if (fixed.length > 0)
    throw new Failure(`this cannot be changed: ${fixed.join('; ')}`, 'leave these as they are');
  return wished;
}

/**
 * Parameters that would become others although the Blueprint marks them `immutable`. What counts is what was accepted,
 * and not what the spec says: the way back from a change that was refused is open.
 */
function fixedParameters(
  { spec, status }: InstanceObject,
  blueprint: BlueprintSpec,
  parameters: Record<string, unknown> | undefined,
): string[] {
  const accepted = status?.immutable ?? immutableValues(blueprint, spec?.parameters);
  return overturned(accepted, immutableValues(blueprint, parameters)).map(
    ([path, value]) =>
      `${path} cannot change after the Instance was created (it is ${JSON.stringify(value)})`,
  );
}

function assigned(
  parameters: Record<string, unknown>,
  schema: ParameterSchema | undefined,
  [name = '', ...rest]: readonly string[],
  text: string,
): Record<string, unknown> {
  const inner = schema?.properties?.[name] ?? schema?.additionalProperties;
  const before = parameters[name];
  const value =
    rest.length > 0 ? assigned(isRecord(before) ? before : {}, inner, rest, text) : valueOfText(text, inner);
  return { ...parameters, [name]: value };
}

/** A text stays one where a text is wanted: 18 may be the name of a version. */
function valueOfText(text: string, schema: ParameterSchema | undefined): unknown {
  if (schema?.type === 'string') return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
