import { X509Certificate } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster, ClusterOptions } from './cluster.ts';
import { hostAddressTowards } from './host-address.ts';
import { kubectlFor } from './kubectl.ts';

interface ConfigView {
  readonly clusters: readonly { cluster: { server: string; 'certificate-authority-data'?: string } }[];
}

/** The cluster of the current kubeconfig context. We start nothing there and stop nothing. */
export async function useExistingCluster(stateDir: string, options: ClusterOptions): Promise<Cluster> {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const kubectlOfUser = kubectlFor(undefined, stateDir);
  const view = ['config', 'view', '--raw', '--minify', '--flatten', '-o', 'json'];
  const flattened = await kubectlOfUser(view).catch((error: Error) => {
    throw new Error(
      `Provider "existing" needs a current context in your kubeconfig; see \`kubectl config get-contexts\` (${error.message})`,
    );
  });
  const kubeconfigPath = join(stateDir, 'kubeconfig');
  writeFileSync(kubeconfigPath, flattened, { mode: 0o600 });
  const cluster = (JSON.parse(flattened) as ConfigView).clusters[0]?.cluster;
  if (cluster === undefined) throw new Error('The current context of your kubeconfig names no cluster');
  const kubectl = kubectlFor(kubeconfigPath, stateDir);
  await kubectl(['version', '-o', 'json'], { timeoutMs: options.timeoutMs ?? 30_000 });
  return {
    name: options.name,
    provider: 'existing',
    realContainers: true,
    server: cluster.server,
    kubeconfigPath,
    caPem: decodeCertificates(cluster['certificate-authority-data']),
    hostAddress: hostAddressTowards(),
    stateDir,
    logs: {},
    processes: {},
    loadImage: async (archive) => {
      throw new Error(
        `Cannot load ${archive} into an existing cluster; push the image to a registry it can pull from`,
      );
    },
    kubectl,
    stop: async () => {},
  };
}

function decodeCertificates(base64: string | undefined): string {
  if (base64 === undefined) return '';
  const pem = Buffer.from(base64, 'base64').toString('utf8');
  // Throws here, with a clear stack, rather than in the first TLS handshake.
  new X509Certificate(pem);
  return pem;
}
