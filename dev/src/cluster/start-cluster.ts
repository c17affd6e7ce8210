import { join } from 'node:path';
import { cacheDirectory } from '../binaries/cache.ts';
import { chooseProvider } from './choose-provider.ts';
import type { Cluster, ClusterOptions } from './cluster.ts';
import { useExistingCluster } from './existing-cluster.ts';
import { startKindCluster } from './kind-cluster.ts';
import { startLocalCluster } from './local-cluster.ts';

/** Starts a cluster (or connects to one) and returns once it can run workloads as far as its provider does. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  if (!/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/.test(options.name)) {
    throw new Error(
      `Cluster name "${options.name}" must be lower case letters, digits and dashes, at most 40 characters`,
    );
  }
  const stateDir = options.stateDir ?? join(cacheDirectory(), 'clusters', options.name);
  const provider = await chooseProvider(options.provider ?? 'auto');
  if (provider === 'kind') return startKindCluster(stateDir, options);
  if (provider === 'existing') return useExistingCluster(stateDir, options);
  return startLocalCluster(provider, stateDir, options);
}
