import {
  type KubeObject,
  LABELS,
  type TenantObject,
  tenantNamespace,
  WORKLOAD_SERVICE_ACCOUNT,
} from '@felucca/contract';

export interface OperatorIdentity {
  /** Namespace and name of the operator's ServiceAccount: tenant rights are bound to it. */
  namespace: string;
  serviceAccount: string;
  /** ClusterRole of the chart with the rights inside tenant namespaces. */
  tenantClusterRole: string;
}

/** Used where the tenant's quota says nothing. */
const DEFAULT_QUOTA = { cpu: '16', memory: '64Gi', storage: '500Gi', pods: 100 };

/** The namespace that belongs to a Tenant. */
export function desiredNamespace(tenant: TenantObject): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name: tenantNamespace(tenant.metadata.name),
      labels: {
        ...labelsOf(tenant),
        'pod-security.kubernetes.io/enforce': 'restricted',
        'pod-security.kubernetes.io/audit': 'restricted',
        'pod-security.kubernetes.io/warn': 'restricted',
      },
    },
  };
}

/** The binding comes first: without it the operator has no rights in the namespace. */
export const desiredBinding = (tenant: TenantObject, operator: OperatorIdentity): KubeObject =>
  inNamespace(tenant, 'rbac.authorization.k8s.io/v1', 'RoleBinding', 'felucca-operator', {
    roleRef: {
      apiGroup: 'rbac.authorization.k8s.io',
      kind: 'ClusterRole',
      name: operator.tenantClusterRole,
    },
    subjects: [{ kind: 'ServiceAccount', name: operator.serviceAccount, namespace: operator.namespace }],
  });

/** What every tenant namespace has: an account without rights, bounds, and a closed network. */
export function desiredTenantObjects(tenant: TenantObject): KubeObject[] {
  const quota = { ...DEFAULT_QUOTA, ...tenant.spec?.quota };
  return [
    inNamespace(tenant, 'v1', 'ServiceAccount', WORKLOAD_SERVICE_ACCOUNT, {
      automountServiceAccountToken: false,
    }),
    inNamespace(tenant, 'v1', 'ResourceQuota', 'felucca', {
      spec: {
        hard: {
          'requests.cpu': quota.cpu,
          'requests.memory': quota.memory,
          'limits.memory': quota.memory,
          'requests.storage': quota.storage,
          pods: String(quota.pods),
          'count/persistentvolumeclaims': '100',
          'services.loadbalancers': '5',
          'services.nodeports': '5',
        },
      },
    }),
    inNamespace(tenant, 'v1', 'LimitRange', 'felucca', {
      // Under a quota every container needs requests and limits; these are for those that say nothing.
      spec: {
        limits: [
          {
            type: 'Container',
            defaultRequest: { cpu: '50m', memory: '64Mi' },
            default: { memory: '256Mi' },
          },
        ],
      },
    }),
    networkPolicy(tenant, 'felucca-default-deny', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }),
    networkPolicy(tenant, 'felucca-same-namespace', {
      podSelector: {},
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ from: [{ podSelector: {} }] }],
      egress: [{ to: [{ podSelector: {} }] }],
    }),
    networkPolicy(tenant, 'felucca-dns', {
      podSelector: {},
      policyTypes: ['Egress'],
      egress: [
        {
          to: [
            {
              namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } },
              podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } },
            },
          ],
          ports: [
            { protocol: 'UDP', port: 53 },
            { protocol: 'TCP', port: 53 },
          ],
        },
      ],
    }),
  ];
}

const networkPolicy = (tenant: TenantObject, name: string, spec: Record<string, unknown>): KubeObject =>
  inNamespace(tenant, 'networking.k8s.io/v1', 'NetworkPolicy', name, { spec });

function inNamespace(
  tenant: TenantObject,
  apiVersion: string,
  kind: string,
  name: string,
  body: Record<string, unknown>,
): KubeObject {
  return {
    apiVersion,
    kind,
    metadata: { name, namespace: tenantNamespace(tenant.metadata.name), labels: labelsOf(tenant) },
    ...body,
  };
}

const labelsOf = (tenant: TenantObject): Record<string, string> => ({
  [LABELS.tenant]: tenant.metadata.name,
  [LABELS.managedBy]: 'felucca',
});
