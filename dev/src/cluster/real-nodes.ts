import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cacheDirectory } from '../binaries/cache.ts';
import { resolveNodeTools } from '../binaries/node-tools.ts';
import { resolveBinary } from '../binaries/resolve.ts';
import { type SupervisedChild, startChild } from '../process/child.ts';
import { unexpectedEnd } from '../process/unexpected-end.ts';
import { waitUntil } from '../process/wait-until.ts';
import { pauseImage, writeBusyboxArchive } from './busybox-image.ts';
import { type ControlPlane, childEnvironment, recordProcesses } from './control-plane.ts';
import { type NodeFilesInput, writeKubernetesFiles, writeRuntimeFiles } from './node-files.ts';
import type { Slot } from './slots.ts';

const run = promisify(execFile);
const initScript = fileURLToPath(new URL('./node-init.sh', import.meta.url));
const maxNodes = 8;

export interface RealNodesOptions {
  readonly slot: Slot;
  readonly stateDir: string;
  readonly count: number;
  readonly persistent: boolean;
  readonly onProgress: (line: string) => void;
  readonly processes: Record<string, SupervisedChild>;
}

/** Real kubelets, containerd and kube-proxy, each node in namespaces of its own behind a private bridge. */
export interface RealNodes {
  /** The host's address on the bridge: where the API server listens and pods reach this machine. */
  readonly hostAddress: string;
  /** Lets the kubelets go and waits until every node is Ready. */
  ready(controlPlane: ControlPlane, waiting: Waiting): Promise<void>;
  loadImage(archive: string): Promise<void>;
}

interface Waiting {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

interface NodePlan {
  readonly name: string;
  readonly address: string;
  readonly podRange: string;
  readonly link: string;
  readonly files: NodeFilesInput;
}

export async function startRealNodes(options: RealNodesOptions): Promise<RealNodes> {
  const { slot, stateDir, count, processes } = options;
  if (count < 1 || count > maxNodes)
    throw new Error(`Provider "nodes" runs 1 to ${maxNodes} nodes, not ${count}`);
  if (/^\/(run|var\/run|var\/log|proc|sys)\//.test(stateDir)) {
    throw new Error(`${stateDir} is in a folder that nodes hide; choose a stateDir elsewhere`);
  }
  const tools = await resolveNodeTools(options.onProgress);
  const programs = await Promise.all(
    (['kubelet', 'kube-proxy', 'containerd', 'containerd-shim-runc-v2', 'ctr'] as const).map((name) =>
      resolveBinary(name),
    ),
  );
  const cni = await Promise.all(
    (['bridge', 'loopback', 'host-local'] as const).map((name) => resolveBinary(name)),
  );
  const path = [...new Set([...programs.map(dirname), ...tools.programDirectories])].join(':');
  const pauseArchive = await writeBusyboxArchive(
    pauseImage,
    tools.busybox,
    join(cacheDirectory(), 'images', 'pause-1.tar'),
  );
  const nodesDir = join(stateDir, 'nodes');
  rmSync(nodesDir, { recursive: true, force: true });
  // A node imports these whenever it starts: all of its own state is in memory.
  const imageList = join(stateDir, 'images.list');
  for (const archive of readImageList(imageList)) {
    if (!existsSync(archive)) options.onProgress(`image archive ${archive} of the last start is gone`);
  }
  const plans = Array.from({ length: count }, (_, index) => planNode(index + 1));
  await makeBridge();
  for (const plan of plans) {
    writeRuntimeFiles(plan.files);
    processes[plan.name] = launch(plan);
  }
  recordProcesses(slot, processes);

  return {
    hostAddress: slot.network.gateway,
    ready,
    loadImage,
  };

  function planNode(index: number): NodePlan {
    const name = `node-${index}`;
    const podRange = `10.211.${slot.network.podBase + index - 1}.0/24`;
    const directory = join(nodesDir, name);
    mkdirSync(directory, { recursive: true });
    return {
      name,
      podRange,
      address: `${slot.network.prefix}.${10 + index}`,
      link: `${slot.kernelPrefix}n${index}`,
      files: {
        directory,
        node: name,
        cgroup: `${slot.kernelPrefix}-${name}`,
        podRange,
        clusterPodRange: `10.211.${slot.network.podBase}.0/21`,
        runc: tools.runc,
        cniDirectories: [...new Set(cni.map(dirname))],
        pauseImage: pauseImage.reference,
        clusterDns: slot.network.gateway,
      },
    };
  }

  async function makeBridge(): Promise<void> {
    const bridge = `${slot.kernelPrefix}br`;
    slot.record({
      links: [bridge, ...plans.map((plan) => plan.link)],
      cgroups: plans.flatMap((plan) => cgroupFolders(plan.files.cgroup)),
    });
    await run('ip', ['link', 'add', bridge, 'type', 'bridge']);
    await run('ip', ['addr', 'add', `${slot.network.gateway}/24`, 'dev', bridge]);
    await run('ip', ['link', 'set', bridge, 'up']);
    for (const plan of plans)
      await run('ip', ['route', 'add', plan.podRange, 'via', plan.address, 'dev', bridge]);
    // ClusterIPs are translated by a kube-proxy, and the host has none: the first node's does it.
    await run('ip', ['route', 'add', slot.network.services, 'via', plans[0]!.address, 'dev', bridge]);
  }

  function launch(plan: NodePlan): SupervisedChild {
    const others = plans.filter((other) => other !== plan);
    const environment = childEnvironment();
    const logPath = join(stateDir, 'logs', `${plan.name}.log`);
    const onKeptExit = unexpectedEnd({ name: plan.name, logPath, say: options.onProgress });
    const child: SupervisedChild = startChild(
      {
        name: plan.name,
        command: '/bin/bash',
        args: [initScript, 'outside'],
        logPath,
        env: {
          ...environment,
          PATH: `${path}:/usr/sbin:/sbin:${environment['PATH']}`,
          FELUCCA_NODE: plan.name,
          FELUCCA_NODE_DIR: plan.files.directory,
          FELUCCA_LOG: join(stateDir, 'logs', plan.name),
          FELUCCA_LINK: plan.link,
          FELUCCA_BRIDGE: `${slot.kernelPrefix}br`,
          FELUCCA_CGROUP: plan.files.cgroup,
          FELUCCA_ADDRESS: plan.address,
          FELUCCA_GATEWAY: slot.network.gateway,
          FELUCCA_ROUTES: others.map((other) => `${other.podRange}=${other.address}`).join(' '),
          FELUCCA_LIBRARIES: tools.libraryDirectories.join(':'),
          FELUCCA_PAUSE_ARCHIVE: pauseArchive,
          FELUCCA_IMAGE_LIST: imageList,
        },
      },
      {
        onStart: () => recordProcesses(slot, processes),
        onExit: (exit) =>
          options.persistent
            ? onKeptExit(exit)
            : options.onProgress(`${plan.name} ended unexpectedly; log: ${logPath}`),
      },
    );
    return child;
  }

  async function ready(controlPlane: ControlPlane, waiting: Waiting): Promise<void> {
    const deadline = performance.now() + waiting.timeoutMs;
    await controlPlane.api.create('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'felucca:kubelet-clients' },
      roleRef: {
        apiGroup: 'rbac.authorization.k8s.io',
        kind: 'ClusterRole',
        name: 'system:kubelet-api-admin',
      },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'felucca:kubelet-clients' }],
    });
    const proxyKubeconfig = await controlPlane.kubeconfigFor('kube-proxy', 'system:kube-proxy');
    for (const plan of plans) {
      const kubeconfig = await controlPlane.kubeconfigFor(
        plan.name,
        `system:node:${plan.name}`,
        'system:nodes',
      );
      writeFileSync(join(plan.files.directory, 'kubelet.kubeconfig'), readFileSync(kubeconfig), {
        mode: 0o600,
      });
      const serving = await controlPlane.authority.issue({
        name: `kubelet-${plan.name}`,
        commonName: `system:node:${plan.name}`,
        organization: 'system:nodes',
        hosts: [plan.address, plan.name],
      });
      writeKubernetesFiles(plan.files, {
        caPath: controlPlane.authority.certPath,
        servingCertPath: serving.certPath,
        servingKeyPath: serving.keyPath,
        proxyKubeconfig,
      });
    }
    const startedAt = Date.now();
    writeFileSync(join(nodesDir, 'control-plane-is-up'), '');
    const children = plans.map((plan) => processes[plan.name]!);
    for (const plan of plans) {
      try {
        await waitUntil(
          `${plan.name} to be Ready`,
          async () => nodeIsReadySince(startedAt, await controlPlane.api.get(`/api/v1/nodes/${plan.name}`)),
          { ...waiting, timeoutMs: Math.max(1, deadline - performance.now()), children },
        );
      } catch (error) {
        const logs = ['containerd', 'kubelet', 'kube-proxy'].map((part) =>
          join(stateDir, 'logs', `${plan.name}.${part}.log`),
        );
        throw new Error(`${error instanceof Error ? error.message : error}\nMore logs: ${logs.join(', ')}`);
      }
    }
  }

  async function loadImage(archive: string): Promise<void> {
    await Promise.all(plans.map((plan) => importInto(plan, archive)));
    const known = readImageList(imageList).filter((entry) => entry !== archive);
    writeFileSync(imageList, [...known, archive, ''].join('\n'));
  }

  async function importInto(plan: NodePlan, archive: string): Promise<void> {
    const pidFile = join(plan.files.directory, 'pid');
    await waitUntil(
      `containerd of ${plan.name}`,
      () => existsSync(join(plan.files.directory, 'containerd-is-up')),
      {
        timeoutMs: 30_000,
        children: [processes[plan.name]!],
      },
    );
    const pid = readFileSync(pidFile, 'utf8').trim();
    const ctr = programs[4]!;
    const socket = ['--address', '/run/felucca/containerd.sock', '--namespace', 'k8s.io'];
    try {
      await run('nsenter', ['-t', pid, '-m', ctr, ...socket, 'images', 'import', archive], {
        timeout: 120_000,
      });
    } catch (error) {
      throw new Error(
        `${plan.name} could not import ${archive}: ${error instanceof Error ? error.message : error}`,
      );
    }
  }
}

function readImageList(path: string): string[] {
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : [];
}

interface Node {
  readonly status?: {
    readonly conditions?: readonly { type: string; status: string; lastHeartbeatTime?: string }[];
  };
}

/** A stored Node still says Ready from the last start, so only a newer heartbeat counts. Times are whole seconds. */
function nodeIsReadySince(startedAt: number, node: Node): boolean {
  const ready = node.status?.conditions?.find((condition) => condition.type === 'Ready');
  return (
    ready?.status === 'True' &&
    Date.parse(ready.lastHeartbeatTime ?? '') >= Math.floor(startedAt / 1000) * 1000
  );
}

function cgroupFolders(name: string): string[] {
  const root = '/sys/fs/cgroup';
  if (existsSync(join(root, 'cgroup.controllers'))) return [join(root, name)];
  return readdirSync(root).map((hierarchy) => join(root, hierarchy, name));
}
