import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { resolveBinary } from '../binaries/resolve.ts';
import type { BinaryName } from '../binaries/versions.ts';
import type { SupervisedChild } from '../process/child.ts';
import type { Cluster, ClusterOptions } from './cluster.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { startDns } from './dns.ts';
import { kubectlFor } from './kubectl.ts';
import { type RealNodes, startRealNodes } from './real-nodes.ts';
import { startSimulatedNodes } from './simulated-nodes.ts';
import { claimSlot } from './slots.ts';
import { startVolumes } from './volumes.ts';

export type LocalProvider = 'bare' | 'kwok' | 'nodes';

const bareBinaries: readonly BinaryName[] = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl'];
const nodeBinaries: readonly BinaryName[] = [
  'kubelet',
  'kube-proxy',
  'containerd',
  'containerd-shim-runc-v2',
  'ctr',
];
const networkBinaries: readonly BinaryName[] = ['bridge', 'loopback', 'host-local'];
const binariesOf: Record<LocalProvider, readonly BinaryName[]> = {
  bare: bareBinaries,
  kwok: [...bareBinaries, 'kube-scheduler', 'kwok'],
  nodes: [...bareBinaries, 'kube-scheduler', ...nodeBinaries, ...networkBinaries],
};

/** A control plane of our own on this machine, with no nodes, simulated nodes or real ones. */
export async function startLocalCluster(
  provider: LocalProvider,
  stateDir: string,
  options: ClusterOptions,
): Promise<Cluster> {
  const persistent = options.persistent ?? false;
  const onProgress = options.onProgress ?? (() => {});
  const fetched = await Promise.all(binariesOf[provider].map((name) => resolveBinary(name, onProgress)));
  onProgress(`cluster ${options.name} (${provider}): ${fetched.length} programs found, starting`);
  const deadline = performance.now() + (options.timeoutMs ?? 120_000);
  const left = () => Math.max(1, deadline - performance.now());
  const waiting = () => ({
    timeoutMs: left(),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const slot = await claimSlot(options.name, stateDir, persistent);
  const processes: Record<string, SupervisedChild> = {};
  const undo: (() => Promise<void> | void)[] = [];
  let stopping: Promise<void> | undefined;
  const stopOnce = async () => {
    for (const step of undo.reverse()) await step();
    await stopInOrder(processes, persistent);
    // Its folders go with the slot, last of all.
    await slot.release(persistent);
  };
  const stop = () => {
    stopping ??= stopOnce();
    return stopping;
  };

  try {
    claimStateDirectory(stateDir, persistent);
    if (!persistent) slot.record({ folders: [stateDir] });
    const nodes: RealNodes | undefined =
      provider === 'nodes'
        ? await startRealNodes({
            slot,
            stateDir,
            persistent,
            count: options.nodes ?? 2,
            onProgress,
            processes,
          })
        : undefined;
    const controlPlane: ControlPlane = await startControlPlane({
      name: options.name,
      slot,
      stateDir,
      bindAddress: nodes?.hostAddress ?? '127.0.0.1',
      serviceRange: provider === 'nodes' ? slot.network.services : '10.96.0.0/12',
      scheduler: provider !== 'bare',
      realNodes: provider === 'nodes',
      persistent,
      durableWrites: options.durableWrites ?? false,
      ...(options.auditPolicy === undefined ? {} : { auditPolicy: options.auditPolicy }),
      ...waiting(),
      onProgress,
      processes,
    });
    undo.push(() => controlPlane.api.close());
    if (provider === 'kwok') {
      await startSimulatedNodes(controlPlane, { count: options.nodes ?? 2, ...waiting() });
    }
    if (nodes !== undefined) {
      await nodes.ready(controlPlane, waiting());
      try {
        const dns = await startDns(controlPlane.api, nodes.hostAddress);
        undo.push(dns.stop);
      } catch (error) {
        onProgress(`Service names do not resolve in pods: ${String(error)}`);
      }
    }
    if (provider !== 'bare') {
      const directory = provider === 'nodes' ? join(stateDir, 'volumes') : undefined;
      const volumes = await startVolumes(controlPlane.api, { directory, onProgress });
      undo.push(volumes.stop);
    }
    return {
      name: options.name,
      provider,
      realContainers: provider === 'nodes',
      server: controlPlane.server,
      kubeconfigPath: controlPlane.kubeconfigPath,
      caPem: controlPlane.caPem,
      adminToken: controlPlane.adminToken,
      hostAddress: nodes?.hostAddress ?? '127.0.0.1',
      stateDir,
      get logs() {
        return Object.fromEntries(Object.entries(processes).map(([name, child]) => [name, child.logPath]));
      },
      processes,
      inside: {
        etcdUrl: controlPlane.etcdUrl,
        issue: (request) => controlPlane.authority.issue(request),
        addApiServer: (etcdUrl) => controlPlane.addApiServer(etcdUrl),
      },
      loadImage: async (archive) => nodes?.loadImage(archive),
      kubectl: kubectlFor(controlPlane.kubeconfigPath, stateDir),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * Clients first, then the API server, etcd last. Where nothing is kept, nothing needs to be finished: an API server
 * asked politely waits for every open watch.
 */
async function stopInOrder(processes: Record<string, SupervisedChild>, persistent: boolean): Promise<void> {
  const { 'kube-apiserver': apiServer, 'kube-apiserver-2': second, etcd, ...clients } = processes;
  await Promise.all(Object.values(clients).map((child) => child.stop()));
  if (persistent) {
    await Promise.all([apiServer?.stop(2_000), second?.stop(2_000)]);
    await etcd?.stop();
  } else {
    await Promise.all([apiServer?.kill(), second?.kill(), etcd?.kill()]);
  }
}

const marker = '.felucca-cluster';

/** Folders we delete later must be ours: a marker says so, and anything else is refused. */
function claimStateDirectory(stateDir: string, persistent: boolean): void {
  const foreign = existsSync(stateDir) && !existsSync(join(stateDir, marker));
  if (foreign)
    throw new Error(`${stateDir} exists and holds no cluster of ours; choose another stateDir or remove it`);
  if (!persistent) rmSync(stateDir, { recursive: true, force: true });
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  writeFileSync(join(stateDir, marker), '');
}
