import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../cluster/cluster.ts';
import { writeKubeconfig } from '../cluster/kubeconfig.ts';
import { repository } from '../images/bundle.ts';
import { type SupervisedChild, startChild } from '../process/child.ts';
import { logTail } from '../process/log-tail.ts';
import { unexpectedEnd } from '../process/unexpected-end.ts';
import type { Api, Json } from './api.ts';
import { installChart } from './helm.ts';
import { keptPort, type StateFolder } from './state.ts';

const namespace = 'felucca-system';
const release = 'felucca-operator';
const readyTimeoutMs = 180_000;
const pollMs = 100;
/** Longer than anyone keeps a local stack; nothing renews the token of an operator outside of a pod. */
const tokenDuration = '8760h';

export interface Operator {
  readonly kind: 'pod' | 'process';
  /** Only of a process; of a pod: kubectl logs -n felucca-system deployment/felucca-operator. */
  readonly logPath?: string;
  /** No goodbye: kill -9, or the pod deleted with no grace. */
  kill(): Promise<void>;
  /** Until the operator runs and its link to the API is up, anew if it was killed before. */
  waitReady(): Promise<void>;
  stop(): Promise<void>;
}

export interface OperatorOptions {
  readonly cluster: Cluster;
  readonly state: StateFolder;
  readonly api: Api;
  /** The API as the operator reaches it. */
  readonly apiUrl: string;
  readonly dataPlane: string;
  readonly kind: 'pod' | 'process';
  /** Archive of its image: its name holds a hash, which rolls the pod when the content under the tag changes. */
  readonly image: string | undefined;
  readonly say: (line: string) => void;
}

/** The chart, with a join token; with simulated nodes the same chart without pods, and a process under its ServiceAccount. */
export async function installOperator(options: OperatorOptions): Promise<Operator> {
  const { cluster, state, kind } = options;
  const joinToken = await joinTokenIfNeeded(options);
  await forgetHalfInstall(cluster);
  await installChart(
    {
      name: release,
      namespace,
      chart: release,
      kubeconfigPath: cluster.kubeconfigPath,
      values: {
        deployment: { enabled: kind === 'pod' },
        image: { repository: 'felucca/operator', tag: 'dev', pullPolicy: 'IfNotPresent' },
        podAnnotations: options.image === undefined ? {} : { 'felucca.dev/image': basename(options.image) },
        controlPlane: { url: options.apiUrl },
        ...(joinToken === undefined ? {} : { joinToken }),
        ...(process.env['LOG_LEVEL'] ? { logLevel: process.env['LOG_LEVEL'] } : {}),
      },
    },
    state,
  );
  return kind === 'pod' ? operatorPod(options) : operatorProcess(options, joinToken);
}

/** Helm refuses to touch a release whose last change was killed half way; it takes over the objects without that record. */
async function forgetHalfInstall(cluster: Cluster): Promise<void> {
  const halfWay = 'status in (pending-install,pending-upgrade,pending-rollback)';
  const selector = `owner=helm,name=${release},${halfWay}`;
  await cluster.kubectl(['delete', 'secrets', '-n', namespace, '-l', selector, '--ignore-not-found']);
}

/** A kept operator has its own key; a token is for one that was never there. */
async function joinTokenIfNeeded(options: OperatorOptions): Promise<string | undefined> {
  const { api, cluster, dataPlane } = options;
  const row = await api.ok('GET', `/v1/data-planes/${dataPlane}`);
  const known = await cluster.kubectl(['get', 'namespace', namespace, '-o', 'name', '--ignore-not-found']);
  if (row.joined && known.trim() !== '') return undefined;
  return (await api.ok('POST', `/v1/data-planes/${row.id}/join-tokens`, {})).token;
}

/** Waits for a link that began after `since` (the link's own "last seen" before the operator was killed). */
async function linkUp(
  options: OperatorOptions,
  since: string | undefined,
  problem: () => Promise<string | undefined>,
): Promise<void> {
  const deadline = performance.now() + readyTimeoutMs;
  let link: Json;
  while (performance.now() < deadline) {
    link = (await options.api.find(`/v1/data-planes/${options.dataPlane}`).catch(() => undefined))?.link;
    if (link?.connected && (since === undefined || (link.lastSeenAt ?? '') > since)) return;
    const why = await problem();
    if (why !== undefined) throw new Error(why);
    await delay(pollMs);
  }
  throw new Error(
    `the operator did not connect within ${readyTimeoutMs / 1000} s; last seen: ${JSON.stringify(link)}`,
  );
}

const lastSeen = async ({ api, dataPlane }: OperatorOptions): Promise<string | undefined> =>
  (await api.find(`/v1/data-planes/${dataPlane}`).catch(() => undefined))?.link.lastSeenAt;

function operatorPod(options: OperatorOptions): Operator {
  const { cluster } = options;
  const pods = [
    'pods',
    '-n',
    namespace,
    '-l',
    `app.kubernetes.io/instance=${release},app.kubernetes.io/name=${release}`,
  ];
  let since: string | undefined;
  return {
    kind: 'pod',
    async kill() {
      since = await lastSeen(options);
      await cluster.kubectl(['delete', ...pods, '--force', '--grace-period=0', '--wait=true']);
    },
    async waitReady() {
      try {
        await cluster.kubectl(
          ['rollout', 'status', `deployment/${release}`, '-n', namespace, '--timeout=170s'],
          { timeoutMs: readyTimeoutMs },
        );
        await linkUp(options, since, async () => undefined);
      } catch (error) {
        const seen = await cluster.kubectl(['get', ...pods, '-o', 'wide']).catch(() => '');
        const log = await cluster
          .kubectl(['logs', '-n', namespace, `deployment/${release}`, '--tail=15'])
          .catch((failure: Error) => failure.message);
        throw new Error(`${(error as Error).message}\n${seen}\n${log}`);
      }
    },
    stop: async () => undefined,
  };
}

async function operatorProcess(options: OperatorOptions, joinToken: string | undefined): Promise<Operator> {
  const { state, cluster } = options;
  const entry = join(repository, 'operator/src/main.ts');
  if (!existsSync(entry)) throw new Error(`${entry} is missing`);
  const kubeconfig = await operatorKubeconfig(cluster, state);
  const port = await keptPort(state, 'operator-port', '127.0.0.1');
  let started = false;
  const spec = {
    name: 'operator',
    command: process.execPath,
    args: [entry],
    logPath: join(state.logs, 'operator.log'),
    cwd: repository,
    env: {
      PATH: process.env['PATH'] ?? '',
      NODE_ENV: 'production',
      KUBECONFIG: kubeconfig,
      POD_NAME: `${release}-${cluster.name}`,
      POD_NAMESPACE: namespace,
      FELUCCA_API_URL: options.apiUrl,
      FELUCCA_JOIN_TOKEN: joinToken ?? '',
      METRICS_HOST: '127.0.0.1',
      METRICS_PORT: String(port),
      ...(process.env['LOG_LEVEL'] ? { LOG_LEVEL: process.env['LOG_LEVEL'] } : {}),
    },
  };
  const onExit = unexpectedEnd({ ...spec, say: options.say, restart: () => child.restart() });
  const child: SupervisedChild = startChild(spec, { onExit: (exit) => started && onExit(exit) });
  let since = await lastSeen(options);
  return {
    kind: 'process',
    logPath: child.logPath,
    async kill() {
      since = await lastSeen(options);
      await child.kill();
    },
    async waitReady() {
      if (!child.running && child.lastExit?.signal === 'SIGKILL') await child.restart();
      await linkUp(options, since, async () =>
        child.running
          ? undefined
          : `the operator ended with code ${child.lastExit?.code}.\nLog: ${child.logPath}\n${logTail(child.logPath)}`,
      );
      started = true;
    },
    stop: () => child.stop(30_000),
  };
}

/**
 * Exactly the rights of the chart's ServiceAccount, as the pod would have them. `server`: another way to the API server,
 * such as a proxy.
 */
export async function operatorKubeconfig(
  cluster: Cluster,
  state: StateFolder,
  server: string = cluster.server,
): Promise<string> {
  const token = await cluster.kubectl([
    ...['create', 'token', release, '-n', namespace, `--duration=${tokenDuration}`],
  ]);
  const path = join(state.path, 'operator.kubeconfig');
  return writeKubeconfig(path, { name: 'operator', server, caPem: cluster.caPem }, { token: token.trim() });
}
