import { keyOf } from '../proxy/api-request.ts';

/** A kind that the operator reads or writes, and how its path is made. */
export interface Kind {
  readonly apiVersion: string;
  readonly kind: string;
  readonly resource: string;
  readonly namespaced: boolean;
}

const kind = (apiVersion: string, name: string, resource: string, namespaced = true): Kind => ({
  apiVersion,
  kind: name,
  resource,
  namespaced,
});

export const KINDS: readonly Kind[] = [
  kind('felucca.dev/v1alpha1', 'DataPlane', 'dataplanes', false),
  kind('felucca.dev/v1alpha1', 'Blueprint', 'blueprints', false),
  kind('felucca.dev/v1alpha1', 'Tenant', 'tenants', false),
  kind('felucca.dev/v1alpha1', 'Instance', 'instances'),
  kind('v1', 'Namespace', 'namespaces', false),
  kind('v1', 'ServiceAccount', 'serviceaccounts'),
  kind('v1', 'ResourceQuota', 'resourcequotas'),
  kind('v1', 'LimitRange', 'limitranges'),
  kind('rbac.authorization.k8s.io/v1', 'RoleBinding', 'rolebindings'),
  kind('apps/v1', 'Deployment', 'deployments'),
  kind('apps/v1', 'StatefulSet', 'statefulsets'),
  kind('batch/v1', 'Job', 'jobs'),
  kind('batch/v1', 'CronJob', 'cronjobs'),
  kind('v1', 'Service', 'services'),
  kind('v1', 'ConfigMap', 'configmaps'),
  kind('v1', 'Secret', 'secrets'),
  kind('v1', 'PersistentVolumeClaim', 'persistentvolumeclaims'),
  kind('networking.k8s.io/v1', 'Ingress', 'ingresses'),
  kind('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies'),
  kind('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets'),
  kind('autoscaling/v2', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers'),
];

/** Followed besides, because tests wait for it; the operator never writes it. */
export const POD: Kind = kind('v1', 'Pod', 'pods');

// biome-ignore lint/suspicious/noExplicitAny: any Kubernetes object
export type Json = any;

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Json;
  readonly [field: string]: Json;
}

export function kindOf(apiVersion: string, name: string): Kind {
  const found = [...KINDS, POD].find((item) => item.apiVersion === apiVersion && item.kind === name);
  if (!found) throw new Error(`${apiVersion} ${name} is not in the rig's table of kinds; add it there`);
  return found;
}

export function collectionPath({ apiVersion, resource, namespaced }: Kind, namespace?: string): string {
  const base = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return namespaced && namespace !== undefined
    ? `${base}/namespaces/${namespace}/${resource}`
    : `${base}/${resource}`;
}

/** `<resource>[.<group>]/[<namespace>/]<name>`, as the proxy names what it sees. */
export function objectKey(
  { apiVersion, resource }: Kind,
  namespace: string | undefined,
  name: string,
): string {
  const [group = '', version = ''] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  return keyOf({ group, version, resource, ...(namespace ? { namespace } : {}), name });
}
