/** Every third-party program the local stack runs: its pinned version, official release and source, in one table. */

/** Where a release is published. Placeholders: {version} {os} {arch} {binary}. */
export interface ReleaseSource {
  readonly version: string;
  /** A program, or an archive (.tar.gz, .tgz, .zip) that holds it. */
  readonly url: string;
  /** A file with the SHA-256 of the download: the bare sum, or lines of `sum  file`. */
  readonly checksumUrl: string;
  /** Path inside the archive; absent when the download is the program itself. */
  readonly member?: string;
  /** Folder under dev/binaries with the go.mod that pins the source. */
  readonly module: string;
  readonly ldflags?: readonly string[];
  readonly tags?: readonly string[];
  /** Words of {arch} where the publisher does not use Go's (amd64, arm64), and of {os}. */
  readonly architectures?: Readonly<Record<string, string>>;
  readonly systems?: Readonly<Record<string, string>>;
}

const github = (repository: string) => `https://github.com/${repository}/releases/download/v{version}`;

export const releases = {
  kubernetes: {
    version: '1.36.3',
    url: 'https://dl.k8s.io/v{version}/bin/{os}/{arch}/{binary}',
    checksumUrl: 'https://dl.k8s.io/v{version}/bin/{os}/{arch}/{binary}.sha256',
    module: 'kubernetes',
    // Without a version stamp kube-apiserver reports v0.0.0 and its feature gates fall back to the oldest.
    ldflags: [
      '-X k8s.io/component-base/version.gitVersion=v1.36.3',
      '-X k8s.io/component-base/version.gitMajor=1',
      '-X k8s.io/component-base/version.gitMinor=36',
    ],
  },
  etcd: {
    version: '3.6.8',
    url: `${github('etcd-io/etcd')}/etcd-v{version}-{os}-{arch}.tar.gz`,
    checksumUrl: `${github('etcd-io/etcd')}/SHA256SUMS`,
    member: 'etcd-v{version}-{os}-{arch}/etcd',
    module: 'etcd',
  },
  kwok: {
    version: '0.8.0',
    url: `${github('kubernetes-sigs/kwok')}/kwok-{os}-{arch}`,
    checksumUrl: `${github('kubernetes-sigs/kwok')}/kwok-{os}-{arch}.sha256`,
    module: 'kwok',
  },
  containerd: {
    version: '2.1.5',
    url: `${github('containerd/containerd')}/containerd-{version}-{os}-{arch}.tar.gz`,
    checksumUrl: `${github('containerd/containerd')}/containerd-{version}-{os}-{arch}.tar.gz.sha256sum`,
    member: 'bin/{binary}',
    module: 'containerd',
  },
  cni: {
    version: '1.9.0',
    url: `${github('containernetworking/plugins')}/cni-plugins-{os}-{arch}-v{version}.tgz`,
    checksumUrl: `${github('containernetworking/plugins')}/cni-plugins-{os}-{arch}-v{version}.tgz.sha256`,
    member: './{binary}',
    module: 'containerd',
  },
  helm: {
    version: '4.3.1',
    url: 'https://get.helm.sh/helm-v{version}-{os}-{arch}.tar.gz',
    checksumUrl: 'https://get.helm.sh/helm-v{version}-{os}-{arch}.tar.gz.sha256sum',
    member: '{os}-{arch}/helm',
    module: 'helm',
    ldflags: ['-X helm.sh/helm/v4/internal/version.version=v4.3.1'],
  },
  crane: {
    version: '0.20.6',
    url: `${github('google/go-containerregistry')}/go-containerregistry_{os}_{arch}.tar.gz`,
    checksumUrl: `${github('google/go-containerregistry')}/checksums.txt`,
    member: 'crane',
    module: 'crane',
    architectures: { amd64: 'x86_64' },
    systems: { linux: 'Linux', darwin: 'Darwin' },
  },
  prometheus: {
    version: '3.15.1',
    url: `${github('prometheus/prometheus')}/prometheus-{version}.{os}-{arch}.tar.gz`,
    checksumUrl: `${github('prometheus/prometheus')}/sha256sums.txt`,
    member: 'prometheus-{version}.{os}-{arch}/{binary}',
    module: 'prometheus',
    // Without the clouds it could find targets in: half the size, and rules need none.
    tags: ['remove_all_sd'],
  },
  kind: {
    version: '0.30.0',
    url: `${github('kubernetes-sigs/kind')}/kind-{os}-{arch}`,
    checksumUrl: `${github('kubernetes-sigs/kind')}/kind-{os}-{arch}.sha256sum`,
    module: 'kind',
  },
} as const satisfies Record<string, ReleaseSource>;

export type Release = keyof typeof releases;

interface Binary {
  readonly release: Release;
  readonly goPackage: string;
  /** Only where real nodes can run. */
  readonly linuxOnly?: boolean;
}

export const binaries = {
  etcd: { release: 'etcd', goPackage: 'go.etcd.io/etcd/server/v3' },
  'kube-apiserver': { release: 'kubernetes', goPackage: 'k8s.io/kubernetes/cmd/kube-apiserver' },
  'kube-controller-manager': {
    release: 'kubernetes',
    goPackage: 'k8s.io/kubernetes/cmd/kube-controller-manager',
  },
  'kube-scheduler': { release: 'kubernetes', goPackage: 'k8s.io/kubernetes/cmd/kube-scheduler' },
  kubectl: { release: 'kubernetes', goPackage: 'k8s.io/kubernetes/cmd/kubectl' },
  kwok: { release: 'kwok', goPackage: 'sigs.k8s.io/kwok/cmd/kwok' },
  helm: { release: 'helm', goPackage: 'helm.sh/helm/v4/cmd/helm' },
  crane: { release: 'crane', goPackage: 'github.com/google/go-containerregistry/cmd/crane' },
  promtool: { release: 'prometheus', goPackage: 'github.com/prometheus/prometheus/cmd/promtool' },
  kubelet: { release: 'kubernetes', goPackage: 'k8s.io/kubernetes/cmd/kubelet', linuxOnly: true },
  'kube-proxy': { release: 'kubernetes', goPackage: 'k8s.io/kubernetes/cmd/kube-proxy', linuxOnly: true },
  containerd: {
    release: 'containerd',
    goPackage: 'github.com/containerd/containerd/v2/cmd/containerd',
    linuxOnly: true,
  },
  'containerd-shim-runc-v2': {
    release: 'containerd',
    goPackage: 'github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2',
    linuxOnly: true,
  },
  ctr: { release: 'containerd', goPackage: 'github.com/containerd/containerd/v2/cmd/ctr', linuxOnly: true },
  bridge: {
    release: 'cni',
    goPackage: 'github.com/containernetworking/plugins/plugins/main/bridge',
    linuxOnly: true,
  },
  loopback: {
    release: 'cni',
    goPackage: 'github.com/containernetworking/plugins/plugins/main/loopback',
    linuxOnly: true,
  },
  'host-local': {
    release: 'cni',
    goPackage: 'github.com/containernetworking/plugins/plugins/ipam/host-local',
    linuxOnly: true,
  },
  kind: { release: 'kind', goPackage: 'sigs.k8s.io/kind' },
} as const satisfies Record<string, Binary>;

export type BinaryName = keyof typeof binaries;

export function releaseOf(name: BinaryName): ReleaseSource {
  return releases[binaries[name].release];
}
