import {
  type BlueprintObject,
  checkImmutable,
  type InstanceObject,
  isRecord,
  type ParameterSchema,
  tellProblems,
} from '@felucca/contract';
import { MAX_PROBLEMS_LENGTH } from '../facts/product.ts';
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
  const fixed = checkImmutable(blueprint.spec!, instance.spec?.parameters, spec.parameters);
  if (fixed.length > 0)
    throw new Failure(
      `this cannot be changed: ${tellProblems(fixed, MAX_PROBLEMS_LENGTH)}`,
      'leave these as they are',
    );
  return wished;
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
