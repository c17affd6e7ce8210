import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';

export interface NodeFilesInput {
  readonly directory: string;
  readonly node: string;
  readonly cgroup: string;
  readonly podRange: string;
  readonly clusterPodRange: string;
  readonly runc: string;
  readonly cniDirectories: readonly string[];
  readonly pauseImage: string;
  readonly clusterDns: string;
}

export interface NodeCredentials {
  readonly caPath: string;
  readonly servingCertPath: string;
  readonly servingKeyPath: string;
  readonly proxyKubeconfig: string;
}

/** containerd and CNI configuration: needed before the control plane is up. */
export function writeRuntimeFiles(input: NodeFilesInput): void {
  const cni = join(input.directory, 'cni');
  mkdirSync(cni, { recursive: true });
  writeFileSync(join(input.directory, 'containerd.toml'), containerdToml(input, cni));
  const network = {
    cniVersion: '1.0.0',
    name: 'felucca',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        hairpinMode: true,
        ipam: { type: 'host-local', ranges: [[{ subnet: input.podRange }]], routes: [{ dst: '0.0.0.0/0' }] },
      },
    ],
  };
  writeFileSync(join(cni, '10-bridge.conflist'), JSON.stringify(network, null, 2));
}

export function writeKubernetesFiles(input: NodeFilesInput, credentials: NodeCredentials): void {
  const yaml = (file: string, value: unknown) => writeFileSync(join(input.directory, file), stringify(value));
  yaml('kubelet.yaml', {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: credentials.caPath },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: credentials.servingCertPath,
    tlsPrivateKeyFile: credentials.servingKeyPath,
    containerRuntimeEndpoint: 'unix:///run/felucca/containerd.sock',
    volumePluginDir: '/run/felucca/volume-plugins',
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${input.cgroup}`,
    failCgroupV1: false,
    failSwapOn: false,
    maxOpenFiles: 20_000,
    oomScoreAdj: 0,
    readOnlyPort: 0,
    // No name server of this machine: a cluster is cut off from outside, so only its own names resolve.
    resolvConf: '',
    clusterDNS: [input.clusterDns],
    clusterDomain: 'cluster.local',
    // Images come as archives and cannot be pulled again, so they are never collected.
    imageGCHighThresholdPercent: 100,
    evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
    nodeStatusUpdateFrequency: '4s',
  });
  yaml('kube-proxy.yaml', {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'nftables',
    hostnameOverride: input.node,
    clusterCIDR: input.clusterPodRange,
    detectLocalMode: 'ClusterCIDR',
    clientConnection: { kubeconfig: credentials.proxyKubeconfig },
    // Zero leaves the machine's connection tracking settings alone; most of them are not per namespace.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
    nftables: { minSyncPeriod: '100ms' },
  });
}

function containerdToml(input: NodeFilesInput, cniDirectory: string): string {
  const text = (value: string) => JSON.stringify(value);
  const unused = ['btrfs', 'devmapper', 'erofs', 'blockfile', 'zfs'].map(
    (name) => `io.containerd.snapshotter.v1.${name}`,
  );
  return `version = 3
root = '/run/felucca/containerd/root'
state = '/run/felucca/containerd/state'
disabled_plugins = [${['io.containerd.nri.v1.nri', ...unused].map(text).join(', ')}]

[grpc]
  address = '/run/felucca/containerd.sock'
[plugins.'io.containerd.internal.v1.opt']
  path = '/run/felucca/containerd/opt'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = ${text(input.pauseImage)}
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = ${text(input.runc)}
      SystemdCgroup = false
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = [${input.cniDirectories.map(text).join(', ')}]
    conf_dir = ${text(cniDirectory)}
`;
}
