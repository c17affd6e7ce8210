import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Cluster, startCluster } from '@felucca/dev';
import { installChart, openState, operatorKubeconfig } from '@felucca/dev/stack';
import { ChaosProxy } from './proxy/proxy.ts';
import { Admin } from './rig/admin.ts';
import { Observer } from './rig/observer.ts';
import { OPERATOR_NAMESPACE, OperatorChild, type OperatorChildOptions } from './rig/operator-child.ts';
import { TcpLink } from './rig/tcp-link.ts';

export { Admin } from './rig/admin.ts';
export { type Json, type KubeObject, kindOf, objectKey } from './rig/kinds.ts';
export { type Change, Observer } from './rig/observer.ts';
export { OPERATOR_NAMESPACE, OperatorChild } from './rig/operator-child.ts';

/** For `nodeArgs: ['--import', FAST_CLOCK]`; it reads CLOCK_SPEED and CLOCK_OFFSET_MS. */
export const FAST_CLOCK: string = join(import.meta.dirname, 'rig/fast-clock.mjs');

export interface RigOptions {
  /** Also the cluster's name: lower case letters, digits and dashes. */
  readonly name: string;
  /** Default `kwok`, where pods become Ready; `bare` starts sooner and has none. */
  readonly provider?: 'kwok' | 'bare';
  /** A second API server, behind a link to etcd that can be frozen. */
  readonly secondApiServer?: boolean;
  /** Of the first operator. */
  readonly operator?: Pick<OperatorChildOptions, 'entry' | 'nodeArgs' | 'env'>;
  readonly onProgress?: (line: string) => void;
}

/** A real control plane, the operator as a process behind the proxy, and somebody who watches both. */
export interface Rig {
  readonly cluster: Cluster;
  readonly proxy: ChaosProxy;
  /** A person with all rights, past the proxy. */
  readonly admin: Admin;
  /** The cluster as it is, past the proxy. */
  readonly observer: Observer;
  /** Running and leading when the rig is ready. */
  readonly operator: OperatorChild;
  /** Of the second API server: freeze it, and that server goes on serving what it knows. */
  readonly etcdLink: TcpLink | undefined;
  /** One more operator, not started yet, behind the same proxy. */
  another(name: string, options?: RigOptions['operator']): Promise<OperatorChild>;
  /** No fault is left, the operator runs and leads: the next case may begin. */
  calm(): Promise<void>;
  log(): string;
  stop(): Promise<void>;
}

const CALM_TIMEOUT_MS = 60_000;
const STOP_PART_MS = 60_000;

export async function startRig(options: RigOptions): Promise<Rig> {
  const { name, provider = 'kwok', onProgress = () => undefined } = options;
  const parts: [name: string, stop: () => unknown][] = [];
  const stop = async (): Promise<void> => {
    for (const [part, stopPart] of parts.splice(0).reverse()) await bounded(part, stopPart);
  };
  try {
    const cluster = await startCluster({ name, provider, onProgress });
    parts.push(['cluster', () => cluster.stop()]);
    if (!cluster.inside) throw new Error(`a ${cluster.provider} cluster can't be taken apart`);
    const etcdLink = options.secondApiServer ? await linkTo(cluster.inside.etcdUrl) : undefined;
    if (etcdLink) parts.push(['etcdLink', () => etcdLink.stop()]);
    const second = etcdLink && (await cluster.inside.addApiServer(`http://127.0.0.1:${etcdLink.port}`));
    const certificate = await cluster.inside.issue({
      name: 'proxy',
      commonName: 'proxy',
      hosts: ['127.0.0.1'],
    });
    const { caPem } = cluster;
    const proxy = await ChaosProxy.start({
      ...certificate,
      upstreams: {
        a: { server: cluster.server, caPem },
        ...(second ? { b: { server: second, caPem } } : {}),
      },
    });
    parts.push(['proxy', () => proxy.stop()]);
    const kubeconfigPath = await installOperatorRights(cluster, proxy.server);
    const admin = new Admin(cluster);
    parts.push(['admin', () => admin.close()]);
    const observer = await Observer.start(admin);
    parts.push(['observer', () => observer.stop()]);

    const another: Rig['another'] = async (child, extra = {}) => {
      const logPath = join(cluster.stateDir, 'logs', `${child}.log`);
      const cacheDir = join(cluster.stateDir, 'compile-cache');
      const made = await OperatorChild.prepare({
        name: child,
        admin,
        kubeconfigPath,
        logPath,
        cacheDir,
        ...extra,
      });
      parts.push([child, () => made.end()]);
      return made;
    };
    const operator = await another('operator', options.operator);
    const calm = async (): Promise<void> => {
      proxy.clearFaults();
      proxy.route = () => 'a';
      etcdLink?.thaw();
      operator.resume();
      operator.start();
      await observer.until('the operator leads and is ready', () => operator.works(), CALM_TIMEOUT_MS);
    };
    const log = (): string => readFileSync(operator.logPath, 'utf8');
    await calm().catch((error: Error) => {
      throw new Error(`${error.message}\n${log().slice(-4_000)}`);
    });
    return { cluster, proxy, admin, observer, operator, etcdLink, another, calm, log, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What does not end keeps neither the other parts nor a whole campaign from ending; the log says which it was. */
async function bounded(part: string, stop: () => unknown): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      process.stderr.write(`rig: ${part} did not stop within ${STOP_PART_MS} ms and is left\n`);
      resolve();
    }, STOP_PART_MS);
  });
  await Promise.race([stop(), late]);
  clearTimeout(timer);
}

async function linkTo(url: string): Promise<TcpLink> {
  const { hostname, port } = new URL(url);
  return TcpLink.to({ host: hostname, port: Number(port) });
}

/** Definitions, rights and admission policies of the chart; returns the kubeconfig of its ServiceAccount. */
async function installOperatorRights(cluster: Cluster, server: string): Promise<string> {
  const state = openState(join(cluster.stateDir, 'operator'));
  await installChart(
    {
      name: 'felucca-operator',
      namespace: OPERATOR_NAMESPACE,
      chart: 'felucca-operator',
      kubeconfigPath: cluster.kubeconfigPath,
      values: { deployment: { enabled: false } },
    },
    state,
  );
  return operatorKubeconfig(cluster, state, server);
}
