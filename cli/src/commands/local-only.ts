import type { InstanceObject } from '@felucca/contract';
import { type ApiRequest, apiRequestText, isOwned } from '../facts/ownership.ts';
import { Failure } from '../failure.ts';

/** The spec of an Instance that came from a control plane is its own: an edit here would be undone as drift. */
export function refuseIfOwned(instance: InstanceObject, what: string, request: ApiRequest): void {
  if (!isOwned(instance)) return;
  const { name, namespace } = instance.metadata;
  throw new Failure(
    `Instance ${namespace}/${name} belongs to the control plane, which would undo what is changed here: it cannot be ${what} on this cluster`,
    `ask the API: ${apiRequestText(instance, request)}`,
  );
}
