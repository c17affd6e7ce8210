import { type BlueprintObject, blueprintObjectName } from '@felucca/contract';
import { Failure } from '../failure.ts';
import type { Kube } from './client.ts';
import { ifAllowed, isSeen } from './errors.ts';

/** @throws Failure where it is hidden or not there. */
export async function readBlueprint(
  kube: Kube,
  { name = '', version = '' }: { name?: string; version?: string } = {},
): Promise<BlueprintObject> {
  const object = blueprintObjectName(name, version);
  const seen = await ifAllowed(kube.get<BlueprintObject>('Blueprint', undefined, object));
  if (!isSeen(seen))
    throw new Failure(
      seen.hidden,
      'what is desired comes from the Blueprint: ask for the role "view" of the cluster',
    );
  if (!seen.value)
    throw new Failure(
      `Blueprint ${object} is not on this cluster`,
      'kubectl get blueprints lists those that are',
    );
  return seen.value;
}
