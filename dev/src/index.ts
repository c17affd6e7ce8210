export { busyboxArchive } from './cluster/busybox-image.ts';
export type { Cluster, ClusterOptions, KubectlOptions, Provider } from './cluster/cluster.ts';
export { cleanStaleClusters } from './cluster/slots.ts';
export { startCluster } from './cluster/start-cluster.ts';
