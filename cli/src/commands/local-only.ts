import { type InstanceObject, isControlled, organizationOf } from '@felucca/contract';
import { Failure } from '../failure.ts';

/** What to ask the control plane for instead, as one request. */
export interface ApiRequest {
  method: 'POST' | 'PATCH';
  /** Below the Instance's own path. */
  path?: string;
  body?: object;
}

/** The spec of an Instance that came from a control plane is its own: an edit here would be undone as drift. */
export function refuseIfControlled(instance: InstanceObject, what: string, request: ApiRequest): void {
  if (!isControlled(instance)) return;
  const { name, namespace = '' } = instance.metadata;
  const organization = organizationOf(namespace) ?? namespace;
  const { method, path = '', body } = request;
  const sent = body ? ` with the body ${JSON.stringify(body)}` : '';
  throw new Failure(
    `Instance ${namespace}/${name} belongs to the control plane, which would undo what is changed here: it cannot be ${what} on this cluster`,
    `ask the API: ${method} /v1/organizations/${organization}/instances/${name}${path}${sent}`,
  );
}
