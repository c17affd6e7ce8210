import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { resolveBinary } from '../binaries/resolve.ts';
import type { Cluster, ClusterOptions } from './cluster.ts';
import { kubectlFor } from './kubectl.ts';

/** A kind cluster in Docker. A persistent one is only left running; kind itself keeps its state. */
export async function startKindCluster(stateDir: string, options: ClusterOptions): Promise<Cluster> {
  const onProgress = options.onProgress ?? (() => {});
  const timeoutMs = options.timeoutMs ?? 300_000;
  const name = `felucca-${options.name}`;
  const kind = await resolveBinary('kind');
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const kubeconfigPath = join(stateDir, 'kubeconfig');
  const existing = (await run(kind, ['get', 'clusters', '--quiet'], 30_000)).split('\n').includes(name);
  if (existing && options.persistent !== true)
    await run(kind, ['delete', 'cluster', '--name', name], timeoutMs);
  if (!existing || options.persistent !== true) {
    const config = join(stateDir, 'kind.yaml');
    writeFileSync(config, kindConfig(options.nodes ?? 2));
    onProgress(`kind creates cluster ${name}; the first time it pulls its node image`);
    try {
      await run(
        kind,
        ['create', 'cluster', '--name', name, '--config', config, '--wait', '120s'].concat([
          '--kubeconfig',
          kubeconfigPath,
        ]),
        timeoutMs,
      );
    } catch (error) {
      await run(kind, ['delete', 'cluster', '--name', name], 60_000).catch(() => {});
      throw error;
    }
  }
  writeFileSync(kubeconfigPath, await run(kind, ['get', 'kubeconfig', '--name', name], 30_000), {
    mode: 0o600,
  });
  const kubectl = kubectlFor(kubeconfigPath, stateDir);
  const view = JSON.parse(await kubectl(['config', 'view', '--raw', '--minify', '-o', 'json'])) as {
    clusters: { cluster: { server: string; 'certificate-authority-data': string } }[];
  };
  const cluster = view.clusters[0]?.cluster;
  if (cluster === undefined) throw new Error(`kind wrote no cluster into ${kubeconfigPath}`);
  return {
    name: options.name,
    provider: 'kind',
    realContainers: true,
    server: cluster.server,
    kubeconfigPath,
    caPem: Buffer.from(cluster['certificate-authority-data'], 'base64').toString('utf8'),
    hostAddress: await hostAddress(),
    stateDir,
    logs: {},
    processes: {},
    loadImage: async (archive) =>
      void (await run(kind, ['load', 'image-archive', archive, '--name', name], 180_000)),
    kubectl,
    stop: async () => {
      if (options.persistent !== true) await run(kind, ['delete', 'cluster', '--name', name], 60_000);
    },
  };
}

function kindConfig(nodes: number): string {
  const workers = Array.from({ length: Math.max(0, nodes - 1) }, () => '  - role: worker\n').join('');
  return `kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n  - role: control-plane\n${workers}`;
}

/** Docker Desktop resolves a name for the host inside containers; on Linux it is the gateway of kind's network. */
async function hostAddress(): Promise<string> {
  if (process.platform !== 'linux') return 'host.docker.internal';
  const networks = JSON.parse(await run('docker', ['network', 'inspect', 'kind'], 10_000)) as {
    IPAM: { Config: { Gateway?: string }[] };
  }[];
  const gateways = networks.flatMap((network) => network.IPAM.Config.map((config) => config.Gateway));
  const gateway = gateways.find((address) => address?.includes('.'));
  if (gateway === undefined)
    throw new Error('Docker network "kind" has no IPv4 gateway, so pods cannot reach this host');
  return gateway;
}

function run(command: string, args: readonly string[], timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { timeout: timeoutMs, maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      reject(
        new Error(
          `${command} ${args.join(' ')} failed: ${error.killed ? `over ${timeoutMs} ms` : stderr.trim()}`,
        ),
      );
    });
  });
}
