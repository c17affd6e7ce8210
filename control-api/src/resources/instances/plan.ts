import {
  type BlueprintSpec,
  CHANGE_EFFECTS,
  type CompiledBlueprint,
  compileBlueprint,
  ExpressionProblem,
  planUpdate,
} from '@felucca/contract';
import { z } from 'zod';
import { Problem } from '../../http/problems.ts';
import type { DesiredInstance } from '../desired.ts';
import { shownParameters } from './sealed-parameters.ts';

/** Answer of a dry run: what would be kept, and what it would do to each child. */
export const planSchema = z.object({
  valid: z.literal(true),
  version: z.string(),
  parameters: z.record(z.string(), z.unknown()),
  suspend: z.boolean(),
  children: z.array(
    z.object({
      child: z.string(),
      node: z.string(),
      effect: z.enum(CHANGE_EFFECTS),
      fields: z.array(z.string()),
      /** Those of the fields that only the cluster can tell. */
      unknown: z.array(z.string()),
      refusal: z.string().optional(),
      /** What goes with a child that is removed. */
      loses: z.string().optional(),
    }),
  ),
});

interface Ordered {
  blueprint: BlueprintSpec;
  instance: DesiredInstance;
}

/** @throws Problem INVALID when a template can't be rendered with these parameters */
export function planOfChange(
  organization: string,
  before: Ordered,
  after: Ordered,
): z.infer<typeof planSchema> {
  const { name, blueprintVersion, parameters, suspend } = after.instance;
  const version = ({ blueprint, instance }: Ordered) => ({
    blueprint: compiled(blueprint),
    parameters: instance.parameters,
    suspend: instance.suspend,
    deletionPolicy: instance.deletionPolicy,
  });
  try {
    const children = planUpdate({ organization, name }, version(before), version(after));
    return {
      valid: true,
      version: blueprintVersion,
      parameters: shownParameters(parameters),
      suspend,
      children,
    };
  } catch (error) {
    if (!(error instanceof ExpressionProblem)) throw error;
    throw new Problem(
      'INVALID',
      `The Blueprint fails with these parameters: ${error.message}; ${error.remedy}.`,
    );
  }
}

/** One that was published under former rules may break today's. @throws Problem INVALID */
export function compiled(spec: BlueprintSpec): CompiledBlueprint {
  const { compiled: blueprint, problems } = compileBlueprint(spec);
  if (blueprint) return blueprint;
  throw new Problem(
    'INVALID',
    `${spec.name} ${spec.version} breaks today's rules for Blueprints; publish a corrected version.`,
    { errors: problems.map(({ path, message, remedy }) => ({ pointer: path, message, remedy })) },
  );
}
