import { type FeedKind, type ObjectMeta, tenantNamespace } from '@felucca/contract';

const TENANT_PREFIX = tenantNamespace('');

/** Key under which an object of the cluster is reported; the inverse of `objectRef`. */
export function keyOfObject(kind: FeedKind, metadata: Pick<ObjectMeta, 'name' | 'namespace'>): string {
  if (kind !== 'Instance') return metadata.name;
  const namespace = metadata.namespace ?? '';
  const organization = namespace.startsWith(TENANT_PREFIX)
    ? namespace.slice(TENANT_PREFIX.length)
    : namespace;
  return `${organization}/${metadata.name}`;
}
