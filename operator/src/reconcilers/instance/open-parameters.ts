import {
  type BlueprintSpec,
  checkParameters,
  type InstanceObject,
  isRecord,
  isSealed,
  isSecretReference,
  mapSensitive,
  referenceMark,
  type SealedContext,
  type SealedValue,
  type SecretReference,
  sensitiveValues,
  tellProblems,
} from '@felucca/contract';
import type { LiveObject } from '../cluster.ts';
import { MAX_MESSAGE } from './conditions.ts';
import type { InstanceContext } from './context.ts';
import { Unmet } from './requirements.ts';

/** @throws CannotOpen */
export type OpenSealed = (value: SealedValue, place: Omit<SealedContext, 'dataPlane'>) => Promise<string>;

/** A sealed value that nobody here can open, or that does not belong where it stands. */
export class CannotOpen extends Error {
  readonly why: 'unknownKey' | 'changed' | 'moved';
  constructor(why: CannotOpen['why']) {
    super(why);
    this.why = why;
  }
}

const AGAIN = 'send the value again through the API';
const CANNOT_OPEN: Record<CannotOpen['why'], string> = {
  unknownKey: `was sealed to a key that this operator does not have; ${AGAIN}, or put the Secret with the operator's identity back from a backup`,
  changed: `is not as it was sealed; ${AGAIN}`,
  moved: `was sealed for another Instance, parameter or data plane and is opened for no other; ${AGAIN}`,
};

/** Parameters with their sensitive values, for Secrets alone, and what everything else is told instead. */
export interface OpenedParameters {
  opened: Record<string, unknown>;
  /** Another mark as soon as the value may be another. */
  parameters: Record<string, unknown>;
}

/**
 * Nothing of it is kept: what is opened is opened anew for each reconcile.
 * @throws {Unmet}
 */
export async function openParameters(
  context: Pick<InstanceContext, 'cluster' | 'open'>,
  instance: InstanceObject,
  spec: BlueprintSpec,
  parameters: Record<string, unknown>,
): Promise<OpenedParameters> {
  const hidden = sensitiveValues(spec, parameters);
  if (hidden.size === 0) return { opened: parameters, parameters };
  const secrets = new Map<string, Promise<LiveObject | undefined>>();
  const { namespace = '' } = instance.metadata;
  const read = (name: string): Promise<LiveObject | undefined> => {
    const reading =
      secrets.get(name) ?? context.cluster.read({ apiVersion: 'v1', kind: 'Secret', namespace, name });
    secrets.set(name, reading);
    return reading;
  };
  const values = new Map<string, string>();
  const marks = new Map<string, string>();
  for (const [path, value] of hidden) {
    if (isSealed(value)) values.set(path, await opened(context, instance, path, value));
    else if (isSecretReference(value)) {
      const found = await referenced(read, path, value);
      values.set(path, found.value);
      marks.set(path, found.mark);
    }
  }
  const result = {
    opened: mapSensitive(spec, parameters, (value, path) => values.get(path) ?? value),
    parameters: mapSensitive(spec, parameters, (value, path) => marks.get(path) ?? value),
  };
  // A later version may ask more of a value than the one under which the API has seen it.
  const problems = checkParameters(spec, result.opened);
  if (problems.length > 0) throw new Unmet('ParametersInvalid', tellProblems(problems, MAX_MESSAGE));
  return result;
}

async function opened(
  { open }: Pick<InstanceContext, 'open'>,
  { status }: InstanceObject,
  parameter: string,
  value: SealedValue,
): Promise<string> {
  try {
    // The id that the sync has verified; anybody may write the annotation.
    return await open(value, { instance: status?.desired?.id ?? '', parameter });
  } catch (error) {
    if (error instanceof CannotOpen)
      throw new Unmet('SealedValueRefused', `parameter ${parameter} ${CANNOT_OPEN[error.why]}`);
    throw error;
  }
}

async function referenced(
  read: (name: string) => Promise<LiveObject | undefined>,
  path: string,
  reference: SecretReference,
): Promise<{ value: string; mark: string }> {
  const { name, key } = reference.secretRef;
  const secret = await read(name);
  const value = isRecord(secret?.data) ? secret.data[key] : undefined;
  if (!secret || typeof value !== 'string')
    throw new Unmet(
      'SecretNotFound',
      `parameter ${path} is to come from Secret ${name}, key ${key}, which ${secret ? 'has no such key' : 'does not exist'}; create it in the namespace of the Instance`,
      true,
    );
  const mark = referenceMark(reference, secret.metadata);
  return { value: Buffer.from(value, 'base64').toString('utf8'), mark };
}
