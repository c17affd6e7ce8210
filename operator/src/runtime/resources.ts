import { RESOURCES } from '@felucca/contract';

/** A resource of the API server: what a path is made of, and the kind that is behind it. */
export interface Gvr {
  /** '' is the core group. */
  group: string;
  version: string;
  /** Plural, lower case. */
  resource: string;
  kind: string;
  namespaced: boolean;
}

export const apiVersionOf = ({ group, version }: Gvr): string => (group ? `${group}/${version}` : version);

/** Path of a collection, an object or its subresource. `namespace` undefined: all namespaces. */
export function resourcePath(gvr: Gvr, namespace?: string, name?: string, subresource?: string): string {
  const root = gvr.group ? `/apis/${gvr.group}/${gvr.version}` : `/api/${gvr.version}`;
  if (gvr.namespaced && name !== undefined && !namespace)
    throw new Error(`${gvr.kind} "${name}" needs a namespace: it is a namespaced kind.`);
  const scope = gvr.namespaced && namespace ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  const object = name === undefined ? '' : `/${encodeURIComponent(name)}`;
  return `${root}${scope}/${gvr.resource}${object}${subresource ? `/${subresource}` : ''}`;
}

const gvr = (apiVersion: string, kind: string, resource: string, namespaced = true): Gvr => {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  return { group: group!, version: version!, resource, kind, namespaced };
};
const felucca = (resource: (typeof RESOURCES)[keyof typeof RESOURCES]): Gvr =>
  gvr(resource.apiVersion, resource.kind, resource.plural, resource.namespaced);

/** Kinds that are known without asking; `Discovery` maps every other. */
export const GVR = {
  DataPlane: felucca(RESOURCES.DataPlane),
  Tenant: felucca(RESOURCES.Tenant),
  Blueprint: felucca(RESOURCES.Blueprint),
  Instance: felucca(RESOURCES.Instance),
  Namespace: gvr('v1', 'Namespace', 'namespaces', false),
  Node: gvr('v1', 'Node', 'nodes', false),
  Pod: gvr('v1', 'Pod', 'pods'),
  Service: gvr('v1', 'Service', 'services'),
  ConfigMap: gvr('v1', 'ConfigMap', 'configmaps'),
  Secret: gvr('v1', 'Secret', 'secrets'),
  ServiceAccount: gvr('v1', 'ServiceAccount', 'serviceaccounts'),
  PersistentVolumeClaim: gvr('v1', 'PersistentVolumeClaim', 'persistentvolumeclaims'),
  ResourceQuota: gvr('v1', 'ResourceQuota', 'resourcequotas'),
  LimitRange: gvr('v1', 'LimitRange', 'limitranges'),
  Deployment: gvr('apps/v1', 'Deployment', 'deployments'),
  StatefulSet: gvr('apps/v1', 'StatefulSet', 'statefulsets'),
  DaemonSet: gvr('apps/v1', 'DaemonSet', 'daemonsets'),
  ReplicaSet: gvr('apps/v1', 'ReplicaSet', 'replicasets'),
  Job: gvr('batch/v1', 'Job', 'jobs'),
  CronJob: gvr('batch/v1', 'CronJob', 'cronjobs'),
  Ingress: gvr('networking.k8s.io/v1', 'Ingress', 'ingresses'),
  NetworkPolicy: gvr('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies'),
  PodDisruptionBudget: gvr('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets'),
  HorizontalPodAutoscaler: gvr('autoscaling/v2', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers'),
  Role: gvr('rbac.authorization.k8s.io/v1', 'Role', 'roles'),
  RoleBinding: gvr('rbac.authorization.k8s.io/v1', 'RoleBinding', 'rolebindings'),
  Lease: gvr('coordination.k8s.io/v1', 'Lease', 'leases'),
  Event: gvr('events.k8s.io/v1', 'Event', 'events'),
} as const satisfies Record<string, Gvr>;

const BY_KIND = new Map(Object.values(GVR).map((known) => [`${apiVersionOf(known)}/${known.kind}`, known]));
export const knownGvr = (apiVersion: string, kind: string): Gvr | undefined =>
  BY_KIND.get(`${apiVersion}/${kind}`);

/** `namespace/name`, or `name` for a cluster-wide object: what queues and stores use. */
export const objectKey = (metadata: { namespace?: string | undefined; name: string }): string =>
  metadata.namespace ? `${metadata.namespace}/${metadata.name}` : metadata.name;

/** Versions of objects of one kind can be compared as numbers (KEP-5504), above 2^53 too. */
export const isOlder = (a: string, b: string): boolean => BigInt(a) < BigInt(b);

export function splitKey(key: string): { namespace?: string; name: string } {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
