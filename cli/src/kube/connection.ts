import { existsSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { delimiter, join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { Failure } from '../failure.ts';

/** The flags that say which cluster, as whom. */
export interface ClusterFlags {
  kubeconfig?: string;
  context?: string;
  as?: string;
}
export interface Surroundings {
  /** KUBECONFIG: one path or several. */
  kubeconfig: string | undefined;
  home: string;
}
/** How to reach the API server. */
export interface Connection {
  server: URL;
  context: string;
  /** The file that was named; else there is none to name again. */
  kubeconfig?: string | undefined;
  /** What the context says; undefined where it says nothing. */
  namespace: string | undefined;
  /** Agent and credentials. */
  options: RequestOptions;
}

const IN_CLUSTER_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/**
 * client-node reads kubeconfigs, runs credential plugins and knows proxies. It is loaded only when a command needs a
 * cluster: it is most of what this program weighs.
 */
export async function openConnection(flags: ClusterFlags, around: Surroundings): Promise<Connection> {
  const config = loadConfig(flags, around);
  if (flags.context !== undefined) config.setCurrentContext(flags.context);
  const name = config.getCurrentContext();
  const context = config.getContextObject(name);
  if (!context) {
    const known = config.getContexts().map((item) => item.name);
    throw new Failure(
      name ? `the kubeconfig has no context "${name}"` : 'the kubeconfig names no current context',
      `choose one with --context: ${known.join(', ') || 'it has none'}`,
    );
  }
  const cluster = config.getCurrentCluster();
  const user = config.getCurrentUser();
  if (!cluster || !user)
    throw new Failure(
      `context "${name}" names ${cluster ? `user "${context.user}"` : `cluster "${context.cluster}"`}, which the kubeconfig does not have`,
      'correct the kubeconfig, or choose another context with --context',
    );
  const options: RequestOptions = {};
  try {
    await config.applyToHTTPSOptions(options as Parameters<typeof config.applyToHTTPSOptions>[0]);
  } catch (error) {
    throw new Failure(
      `no credentials for context "${name}": ${(error as Error).message.trim()}`,
      'run the credential plugin of the kubeconfig by hand, or log in again',
      error,
    );
  }
  keepConnections(options);
  if (flags.as !== undefined) options.headers = { ...options.headers, 'Impersonate-User': flags.as };
  if (!URL.canParse(cluster.server))
    throw new Failure(
      `the cluster of context "${name}" has the server "${cluster.server}", which is no URL`,
      'correct the kubeconfig: https://<host>:<port>',
    );
  const { kubeconfig } = flags;
  return {
    server: new URL(cluster.server),
    context: name,
    kubeconfig,
    namespace: context.namespace,
    options,
  };
}

function loadConfig(flags: ClusterFlags, around: Surroundings): KubeConfig {
  const config = new KubeConfig();
  const listed =
    (flags.kubeconfig ?? around.kubeconfig)?.split(delimiter).filter((path) => path !== '') ?? [];
  if (flags.kubeconfig !== undefined && !existsSync(flags.kubeconfig))
    throw new Failure(`there is no file ${flags.kubeconfig}`, 'correct --kubeconfig');
  const wanted = listed.length > 0 ? listed : [join(around.home, '.kube', 'config')];
  const files = wanted.filter((path) => existsSync(path));
  for (const file of files) addFile(config, file);
  if (files.length > 0) return config;
  if (!existsSync(IN_CLUSTER_TOKEN))
    throw new Failure(
      `no kubeconfig: there is no file ${wanted.join(', ')}`,
      'set KUBECONFIG, or give the file with --kubeconfig',
    );
  config.loadFromCluster();
  return config;
}

/** As kubectl merges: the first file that names something wins. */
function addFile(config: KubeConfig, path: string): void {
  const file = new KubeConfig();
  try {
    file.loadFromFile(path);
  } catch (error) {
    throw new Failure(`${path} is no kubeconfig: ${(error as Error).message}`, 'correct the file', error);
  }
  const unseen = <T extends { name: string }>(known: readonly T[] | undefined, added: readonly T[]): T[] => [
    ...(known ?? []),
    ...added.filter((item) => !known?.some(({ name }) => name === item.name)),
  ];
  config.loadFromOptions({
    clusters: unseen(config.clusters, file.clusters),
    users: unseen(config.users, file.users),
    contexts: unseen(config.contexts, file.contexts),
    currentContext: config.currentContext || file.currentContext,
  });
}

/** One command asks a dozen questions: over few connections, not over a new one each. */
function keepConnections(options: RequestOptions): void {
  const agent = options.agent as { keepAlive?: boolean; maxSockets?: number } | undefined;
  if (!agent) return;
  agent.keepAlive = true;
  agent.maxSockets = 6;
}
