import { API_VERSION, type KubeObject, LABELS } from '@felucca/contract';

export const HOME = 'felucca-system';
export const NAMESPACE = 'tenant-acme';

export type Json = Record<string, unknown>;
/** The defence beside API and policies. */
export type Third =
  | 'rights' // the operator's RBAC does not allow it
  | 'pod security' // the workload is stored, its pods are refused by the namespace
  | 'construction' // the operator overwrites it, whatever a template says
  | 'nothing to lend'; // it may be asked for, and gives nothing

export interface Attack {
  what: string;
  /** The manifest as an author writes it. */
  manifest: Json;
  /** The same as an operator without defences would write it, where that is more than labels and owner. */
  child?: (child: KubeObject & Json) => void;
  third: Third[];
}

const container = (more: Json = {}, security: Json = {}): Json => ({
  name: 'main',
  image: 'busybox',
  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] }, ...security },
  ...more,
});
export const workload = (pod: Json = {}): Json => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  spec: {
    template: {
      spec: {
        securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
        containers: [container()],
        ...pod,
      },
    },
  },
});
export const config = (metadata: Json): Json => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata,
  data: { a: 'b' },
});
export const rbac = 'rbac.authorization.k8s.io/v1';
const escalation = {
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
  subjects: [{ kind: 'ServiceAccount', name: 'felucca-workload', namespace: NAMESPACE }],
};
const another = { apiVersion: API_VERSION, kind: 'Instance', name: 'another', uid: 'another-uid' };
export const podOf = (child: Json): Json =>
  (child as { spec: { template: { spec: Json } } }).spec.template.spec;

export const attacks: Attack[] = [
  // Kinds.
  { what: 'a Pod', manifest: { apiVersion: 'v1', kind: 'Pod', spec: podOf(workload()) }, third: ['rights'] },
  {
    what: 'a DaemonSet',
    manifest: {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      spec: {
        selector: { matchLabels: { app: 'x' } },
        template: { metadata: { labels: { app: 'x' } }, spec: podOf(workload()) },
      },
    },
    third: ['rights'],
  },
  { what: 'a Role', manifest: { apiVersion: rbac, kind: 'Role', rules: [] }, third: ['rights'] },
  {
    what: 'a RoleBinding',
    manifest: { apiVersion: rbac, kind: 'RoleBinding', ...escalation },
    third: ['rights'],
  },
  {
    what: 'a ClusterRole',
    manifest: { apiVersion: rbac, kind: 'ClusterRole', rules: [] },
    third: ['rights'],
  },
  {
    what: 'a ClusterRoleBinding',
    manifest: { apiVersion: rbac, kind: 'ClusterRoleBinding', ...escalation },
    third: ['rights'],
  },
  { what: 'a ServiceAccount', manifest: { apiVersion: 'v1', kind: 'ServiceAccount' }, third: ['rights'] },
  {
    what: 'an admission webhook',
    manifest: {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      webhooks: [],
    },
    third: ['rights'],
  },
  // Other places.
  ...['kube-system', 'default', HOME].map(
    (namespace): Attack => ({
      what: `an object in ${namespace}`,
      manifest: config({ namespace }),
      child: (child) => {
        child.metadata.namespace = namespace;
      },
      third: ['rights'],
    }),
  ),
  // The Kubernetes node.
  ...['hostNetwork', 'hostPID', 'hostIPC'].map(
    (field): Attack => ({ what: field, manifest: workload({ [field]: true }), third: ['pod security'] }),
  ),
  {
    what: 'a privileged container',
    manifest: workload({ containers: [container({}, { privileged: true, allowPrivilegeEscalation: true })] }),
    third: ['pod security'],
  },
  {
    what: 'a privileged init container',
    manifest: workload({
      initContainers: [container({ name: 'init' }, { privileged: true, allowPrivilegeEscalation: true })],
    }),
    third: ['pod security'],
  },
  {
    what: 'more capabilities',
    manifest: workload({
      containers: [container({}, { capabilities: { drop: ['ALL'], add: ['SYS_ADMIN'] } })],
    }),
    third: ['pod security'],
  },
  {
    what: 'a port of the host',
    manifest: workload({ containers: [container({ ports: [{ containerPort: 80, hostPort: 80 }] })] }),
    third: ['pod security'],
  },
  {
    what: 'hostPath',
    manifest: workload({ volumes: [{ name: 'root', hostPath: { path: '/' } }] }),
    third: ['pod security'],
  },
  // Foreign accounts.
  ...['default', 'felucca-operator'].map(
    (serviceAccountName): Attack => ({
      what: `pods under ${serviceAccountName}`,
      manifest: workload({ serviceAccountName }),
      child: (child) => {
        podOf(child).serviceAccountName = serviceAccountName;
      },
      third: ['construction', 'nothing to lend'],
    }),
  ),
  {
    what: 'a token of an account',
    manifest: {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/service-account-token',
      metadata: { annotations: { 'kubernetes.io/service-account.name': 'default' } },
    },
    third: ['nothing to lend'],
  },
  // Theft.
  {
    what: "another owner's name",
    manifest: config({ ownerReferences: [another] }),
    child: (child) => {
      child.metadata.ownerReferences = [another];
    },
    third: ['construction'],
  },
  {
    what: 'the label of another Instance',
    manifest: config({ labels: { [LABELS.instanceUid]: 'another-uid', [LABELS.instance]: 'another' } }),
    child: (child) => {
      Object.assign(child.metadata.labels!, {
        [LABELS.instanceUid]: 'another-uid',
        [LABELS.instance]: 'another',
      });
    },
    third: ['construction'],
  },
];
