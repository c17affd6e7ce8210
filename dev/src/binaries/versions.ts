/** Every third-party program the local stack runs, and the one place its version is pinned. */
export const versions = {
  kubernetes: '1.36.3',
  etcd: '3.6.8',
  kwok: '0.8.0',
  containerd: '2.1.5',
  cni: '1.9.0',
  helm: '4.3.1',
  crane: '0.20.6',
  kind: '0.30.0',
} as const;

export type Release = keyof typeof versions;

/** Binary → the release it comes with. */
export const binaries = {
  'kube-apiserver': 'kubernetes',
  'kube-controller-manager': 'kubernetes',
  'kube-scheduler': 'kubernetes',
  'kube-proxy': 'kubernetes',
  kubelet: 'kubernetes',
  kubectl: 'kubernetes',
  etcd: 'etcd',
  kwok: 'kwok',
  containerd: 'containerd',
  'containerd-shim-runc-v2': 'containerd',
  ctr: 'containerd',
  bridge: 'cni',
  loopback: 'cni',
  'host-local': 'cni',
  helm: 'helm',
  crane: 'crane',
  kind: 'kind',
} as const satisfies Record<string, Release>;

export type BinaryName = keyof typeof binaries;
