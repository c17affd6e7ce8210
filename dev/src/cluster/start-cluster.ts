import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from '../binaries/cache.ts';
import type { SupervisedChild } from '../process/child.ts';
import type { Cluster, ClusterOptions } from './cluster.ts';
import { startControlPlane } from './control-plane.ts';
import { kubectlFor } from './kubectl.ts';
import { claimSlot } from './slots.ts';

const loopback = '127.0.0.1';

export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  if (!/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/.test(options.name)) {
    throw new Error(
      `Cluster name "${options.name}" must be lower case letters, digits and dashes, at most 40 characters`,
    );
  }
  const persistent = options.persistent ?? false;
  const stateDir = options.stateDir ?? join(cacheDirectory(), 'clusters', options.name);
  const slot = await claimSlot(options.name, stateDir, persistent);
  const processes: Record<string, SupervisedChild> = {};
  const stop = async () => {
    for (const child of Object.values(processes).reverse()) await child.stop();
    if (!persistent) rmSync(stateDir, { recursive: true, force: true });
    await slot.release(persistent);
  };
  try {
    if (!persistent) rmSync(stateDir, { recursive: true, force: true });
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    if (!persistent) slot.record({ folders: [stateDir] });
    const controlPlane = await startControlPlane({
      name: options.name,
      slot,
      stateDir,
      bindAddress: loopback,
      serviceRange: '10.96.0.0/16',
      scheduler: false,
      durableWrites: options.durableWrites ?? false,
      timeoutMs: options.timeoutMs ?? 120_000,
      onProgress: options.onProgress ?? (() => {}),
      processes,
    });
    return {
      name: options.name,
      provider: 'bare',
      realContainers: false,
      server: controlPlane.server,
      kubeconfigPath: controlPlane.kubeconfigPath,
      caPem: controlPlane.caPem,
      adminToken: controlPlane.adminToken,
      hostAddress: loopback,
      stateDir,
      get logs() {
        return Object.fromEntries(Object.entries(processes).map(([name, child]) => [name, child.logPath]));
      },
      processes,
      loadImage: async () => {},
      kubectl: kubectlFor(controlPlane.kubeconfigPath, stateDir),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
