/**
 * How a row in Postgres and an object in a cluster name each other. Both sides import this file,
 * so that the mapping can't drift apart.
 */

export const GROUP = 'felucca.dev';
export const VERSION = 'v1alpha1';
export const API_VERSION = `${GROUP}/${VERSION}`;

/** Kinds that travel in a data plane's feed, in the order in which one delta carries them. */
export const FEED_KINDS = ['DataPlane', 'Blueprint', 'Tenant', 'Instance'] as const;
export type FeedKind = (typeof FEED_KINDS)[number];

/** Every name a person chooses: DNS-1123 label, at most 40 characters, immutable. */
export const NAME_PATTERN = /^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$/;
export const NAME_RULE = 'a DNS-1123 label: lower-case letters, digits and "-", 1 to 40 characters';
/** Three-part version without pre-release: what a Blueprint version looks like. */
export const BLUEPRINT_VERSION_PATTERN = /^(0|[1-9]\d{0,4})\.(0|[1-9]\d{0,4})\.(0|[1-9]\d{0,4})$/;
/** Node ids are both CEL identifiers and the tail of a child's name. */
export const NODE_ID_PATTERN = /^[a-z][a-z0-9]{0,19}$/;

export const LABELS = {
  /** On every tenant namespace; the admission policy and the tenant RoleBinding look for it. */
  tenant: 'felucca.dev/tenant',
  /** On every child: the UID of the Instance that owns it. */
  instanceUid: 'felucca.dev/instance-uid',
  instance: 'felucca.dev/instance',
  /** On the operators' Leases: their common name, and which part of the Instances goes with the Lease. */
  lease: 'felucca.dev/lease',
  shard: 'felucca.dev/shard',
  node: 'felucca.dev/node',
  /** Which of the children of a node with `forEach`. */
  key: 'felucca.dev/key',
  managedBy: 'app.kubernetes.io/managed-by',
  name: 'app.kubernetes.io/name',
  appInstance: 'app.kubernetes.io/instance',
  version: 'app.kubernetes.io/version',
  partOf: 'app.kubernetes.io/part-of',
} as const;

export const ANNOTATIONS = {
  /** Information for people; what the operator trusts is the verified row in status.desired. */
  id: 'felucca.dev/id',
  generation: 'felucca.dev/generation',
  digest: 'felucca.dev/digest',
  traceparent: 'felucca.dev/traceparent',
  /** `<lease>/<term>` of the leader that wrote last; part of a write, never a reason for one. */
  term: 'felucca.dev/term',
  /** On a Lease: the operator that asks its holder to let it have a part of the work. */
  wantedBy: 'felucca.dev/wanted-by',
  /** Hash of the fields we applied: with it a reconcile skips writes that change nothing. */
  appliedHash: 'felucca.dev/applied-hash',
  /** On a child with a deadline: since when it is wanted as it is now. */
  changedAt: 'felucca.dev/changed-at',
  /** Children written ahead of their first apply; see status.inventory. */
  inventory: 'felucca.dev/inventory',
  /** On an Instance: the Secret whose lost generated values may be made anew; removed when that is done. */
  regenerate: 'felucca.dev/regenerate',
  reconcileRequestedAt: 'felucca.dev/reconcile-requested-at',
  /** On the DataPlane: a person lets the held deletions go; the operator removes it when it acts. */
  releaseDeletions: 'felucca.dev/release-deletions',
  /** On the DataPlane: a person wants sensitive values sealed to a new key; the operator removes it when it acts. */
  rotateSealingKey: 'felucca.dev/rotate-sealing-key',
  /** The signed tombstone that waits for the deletion budget, kept across restarts. */
  heldDeletion: 'felucca.dev/held-deletion',
} as const;

export const FINALIZER = 'felucca.dev/cleanup';
export const DATA_PLANE_NAME = 'default';
/** ServiceAccount that tenant workloads run under; it has no rights and no token is mounted. */
export const WORKLOAD_SERVICE_ACCOUNT = 'felucca-workload';

/** One field manager per writer; each sends only what it owns. */
export const FIELD_MANAGERS = {
  sync: 'felucca-sync',
  reconciler: 'felucca-operator',
  status: 'felucca-status',
} as const;

export const tenantNamespace = (organization: string): string => `tenant-${organization}`;
/** The inverse; undefined for a namespace that no Tenant can have. */
export const organizationOf = (namespace = ''): string | undefined => /^tenant-(.+)$/.exec(namespace)?.[1];
export const blueprintObjectName = (name: string, version: string): string =>
  `${name}-${version.replaceAll('.', '-')}`;
/** `<instance>-<node id>[suffix]`: deterministic, so a repeated create collides instead of duplicating. */
export const childName = (instance: string, node: string, suffix = ''): string =>
  `${instance}-${node}${suffix}`;

/** Key of a row in a data plane's feed. */
export const feedKey = {
  dataPlane: (): string => DATA_PLANE_NAME,
  blueprint: blueprintObjectName,
  tenant: (organization: string): string => organization,
  instance: (organization: string, instance: string): string => `${organization}/${instance}`,
};

/** Where a feed row lives in the cluster. */
export function objectRef(kind: FeedKind, key: string): { namespace?: string; name: string } {
  if (kind !== 'Instance') return { name: key };
  const [organization = '', name = ''] = key.split('/');
  return { namespace: tenantNamespace(organization), name };
}

/** The trace that a W3C traceparent belongs to, under the name that the API's log gives it. */
export function traceOf(traceparent: string | undefined): { traceId?: string } {
  const traceId = /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(traceparent ?? '')?.[1];
  return traceId === undefined ? {} : { traceId };
}
