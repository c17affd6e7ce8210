import {
  ANNOTATIONS,
  FIELD_MANAGERS,
  type InstanceObject,
  type InventoryEntry,
  isStillOwned,
  LABELS,
  type LiveObject,
  organizationOf,
  pointer,
  type TenantObject,
  whyForeign,
} from '@felucca/contract';

/** Whether an object that has the name of a child is that of somebody else. */
export function isAnothers(
  live: LiveObject,
  { metadata: { name, uid = '' } }: InstanceObject,
  { node, key }: { node: string; key?: string | undefined },
  known: InventoryEntry | undefined,
): boolean {
  const labels = {
    [LABELS.managedBy]: 'felucca',
    [LABELS.instance]: name,
    [LABELS.node]: node,
    ...(key === undefined ? {} : { [LABELS.key]: key }),
  };
  return whyForeign(live, { metadata: { name: live.metadata.name, labels } }, known, uid) !== undefined;
}

const ID = pointer('/metadata/annotations', ANNOTATIONS.id);

/**
 * Whether the control plane owns it, and not whoever applied it here. That is what the stamp says, which only the
 * operator may write. Anybody may write the annotation, which an Instance has alone between the two first writes of the
 * sync: then it counts if the sync wrote it.
 */
export const isOwned = (instance: InstanceObject | TenantObject): boolean =>
  instance.status?.desired !== undefined ||
  isStillOwned(
    (instance.metadata as LiveObject['metadata']).managedFields,
    ID,
    FIELD_MANAGERS.sync,
    instance,
  );

/** Deleted in the control plane, and here until a person, or a comparison, says so. */
export const isHeld = (instance: InstanceObject | TenantObject): boolean =>
  isOwned(instance) && instance.metadata.annotations?.[ANNOTATIONS.heldDeletion] !== undefined;

/** What the deletion of a held Instance waits for, while the operator has not said so. */
export const HELD = 'the control plane has deleted it, and the deletion is held';

/** What to ask the control plane for, as one request. */
export interface ApiRequest {
  method: 'POST' | 'PATCH' | 'DELETE';
  /** Below the Instance's own path. */
  path?: string;
  body?: object;
}

/** Such as `POST /v1/organizations/acme/instances/db/resume`. */
export function apiRequestText(
  { metadata }: InstanceObject,
  { method, path = '', body }: ApiRequest,
): string {
  const { name, namespace = '' } = metadata;
  const sent = body ? ` with the body ${JSON.stringify(body)}` : '';
  return `${method} /v1/organizations/${organizationOf(namespace) ?? namespace}/instances/${name}${path}${sent}`;
}

/** How whoever asks has an Instance deleted. */
export const deletionText = (instance: InstanceObject): string =>
  isOwned(instance)
    ? `in the control plane: ${apiRequestText(instance, { method: 'DELETE' })}`
    : `kubectl delete instance ${instance.metadata.name} -n ${instance.metadata.namespace}`;

/** How whoever asks brings a suspended Instance back. */
export const resumeText = (instance: InstanceObject): string =>
  isOwned(instance)
    ? `resume it in the control plane: ${apiRequestText(instance, { method: 'POST', path: '/resume' })}`
    : `felucca resume ${instance.metadata.name} -n ${instance.metadata.namespace}`;
