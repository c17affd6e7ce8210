import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { resolveBinary } from '../binaries/resolve.ts';
import type { BinaryName } from '../binaries/versions.ts';
import { type SupervisedChild, startChild } from '../process/child.ts';
import { unexpectedEnd } from '../process/unexpected-end.ts';
import { waitUntil } from '../process/wait-until.ts';
import { type CertificateAuthority, openCertificateAuthority, serviceAccountKeys } from './certificates.ts';
import { type KubeApi, kubeApi } from './kube-api.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import type { Slot } from './slots.ts';

export interface ControlPlaneOptions {
  readonly name: string;
  readonly slot: Slot;
  readonly stateDir: string;
  /** Loopback, or the bridge address where nodes live behind one. */
  readonly bindAddress: string;
  readonly serviceRange: string;
  readonly scheduler: boolean;
  /** Notice a lost node sooner than the default 50 s. */
  readonly realNodes: boolean;
  /** What ends is started again: all of it is found in etcd, which is kept. */
  readonly persistent: boolean;
  readonly durableWrites: boolean;
  readonly auditPolicy?: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  readonly onProgress: (line: string) => void;
  /** Filled as processes start, so that a failing start can still stop them. */
  readonly processes: Record<string, SupervisedChild>;
}

export interface ControlPlane {
  readonly server: string;
  readonly kubeconfigPath: string;
  readonly caPem: string;
  readonly adminToken: string;
  readonly authority: CertificateAuthority;
  readonly api: KubeApi;
  /** Issues a client certificate and writes a kubeconfig for it. */
  kubeconfigFor(file: string, commonName: string, organization?: string): Promise<string>;
  readonly etcdUrl: string;
  /**
   * One more API server on the same state, ready; returns its URL. It reaches etcd under `etcdUrl`, which may be a link
   * that a test can freeze: then it serves what it knew.
   */
  addApiServer(etcdUrl: string): Promise<string>;
  /** Starts one more program of the cluster with a bare environment and its own log. */
  spawn(name: string, command: string, args: readonly string[]): SupervisedChild;
}

/** etcd, kube-apiserver, kube-controller-manager and perhaps kube-scheduler, ready to serve. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { slot, stateDir, bindAddress } = options;
  const pki = join(stateDir, 'pki');
  const server = `https://${bindAddress}:${slot.ports.apiServer}`;
  const authority = await openCertificateAuthority(pki);
  const adminToken = adminTokenIn(stateDir);
  const endpoint = { name: options.name, server, caPem: authority.certPem };
  const kubeconfigPath = writeKubeconfig(join(stateDir, 'kubeconfig'), endpoint, { token: adminToken });

  // Who waits for a first start hears of an end as a failure.
  let served = false;
  const spawn = (name: string, command: string, args: readonly string[]): SupervisedChild => {
    const logPath = join(stateDir, 'logs', `${name}.log`);
    const onKeptExit = unexpectedEnd({
      name,
      logPath,
      say: options.onProgress,
      restart: () => child.restart(),
    });
    const child: SupervisedChild = startChild(
      { name, command, args, logPath, env: childEnvironment() },
      {
        onStart: () => recordProcesses(slot, options.processes),
        onExit: (exit) => {
          if (options.persistent && served) return onKeptExit(exit);
          const how = exit.signal ?? `code ${exit.code}`;
          options.onProgress(`${name} ended unexpectedly (${how}); log: ${logPath}`);
        },
      },
    );
    options.processes[name] = child;
    return child;
  };
  const kubeconfigFor = async (file: string, commonName: string, organization?: string) => {
    const issued = await authority.issue({
      name: `client-${file}`,
      commonName,
      ...(organization === undefined ? {} : { organization }),
    });
    return writeKubeconfig(join(stateDir, 'pki', `${file}.kubeconfig`), endpoint, issued);
  };
  const binary = (name: BinaryName) => resolveBinary(name);

  const deadline = performance.now() + options.timeoutMs;
  const waiting = () => ({
    timeoutMs: Math.max(1, deadline - performance.now()),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const etcd = spawn('etcd', await binary('etcd'), etcdArguments(options));
  const etcdUrl = `http://127.0.0.1:${slot.ports.etcdClient}`;
  await waitUntil('etcd to answer', async () => (await fetch(`${etcdUrl}/readyz`)).ok, {
    ...waiting(),
    children: [etcd],
  });

  const apiServer = spawn(
    'kube-apiserver',
    await binary('kube-apiserver'),
    await apiServerArguments(options, authority, slot.ports.apiServer, etcdUrl),
  );
  const api = kubeApi(server, authority.certPem, adminToken);
  await waitUntil(
    'the API server to be ready',
    async () => (await api.call('GET', '/readyz')).status === 200,
    {
      ...waiting(),
      children: [etcd, apiServer],
    },
  );

  const controllerManager = spawn('kube-controller-manager', await binary('kube-controller-manager'), [
    ...(await componentArguments('controller-manager', 'system:kube-controller-manager')),
    `--service-account-private-key-file=${serviceAccountKeys(pki).privatePath}`,
    `--root-ca-file=${authority.certPath}`,
    '--use-service-account-credentials=true',
    // It makes one ServiceAccount token per controller first; at the default 20 requests/s that takes 5 s.
    '--kube-api-qps=500',
    '--kube-api-burst=1000',
    ...(options.realNodes ? ['--node-monitor-grace-period=24s'] : []),
  ]);
  const scheduler = options.scheduler
    ? [
        spawn('kube-scheduler', await binary('kube-scheduler'), [
          ...(await componentArguments('scheduler', 'system:kube-scheduler')),
        ]),
      ]
    : [];
  await waitUntil(
    'the controllers to create the default ServiceAccount',
    async () => (await api.call('GET', '/api/v1/namespaces/default/serviceaccounts/default')).status === 200,
    { ...waiting(), children: [etcd, apiServer, controllerManager, ...scheduler] },
  );
  const addApiServer = async (otherEtcdUrl: string): Promise<string> => {
    const port = slot.ports.secondApiServer;
    const args = await apiServerArguments(options, authority, port, otherEtcdUrl);
    const child = spawn('kube-apiserver-2', await binary('kube-apiserver'), args);
    const url = `https://${bindAddress}:${port}`;
    const second = kubeApi(url, authority.certPem, adminToken);
    try {
      const isReady = async () => (await second.call('GET', '/readyz')).status === 200;
      await waitUntil('the second API server to be ready', isReady, {
        timeoutMs: options.timeoutMs,
        children: [child],
      });
    } finally {
      second.close();
    }
    return url;
  };
  served = true;
  return {
    server,
    etcdUrl,
    addApiServer,
    kubeconfigPath,
    caPem: authority.certPem,
    adminToken,
    authority,
    api,
    kubeconfigFor,
    spawn,
  };

  async function componentArguments(file: string, user: string): Promise<string[]> {
    const kubeconfig = await kubeconfigFor(file, user);
    return [
      `--kubeconfig=${kubeconfig}`,
      `--authentication-kubeconfig=${kubeconfig}`,
      `--authorization-kubeconfig=${kubeconfig}`,
      '--leader-elect=false',
      '--secure-port=0',
    ];
  }
}

/** Nothing of our own environment reaches the cluster, proxies and credentials least of all. */
export function childEnvironment(): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/nonexistent', LANG: 'C' };
}

export function recordProcesses(slot: Slot, processes: Record<string, SupervisedChild>): void {
  const identities = Object.values(processes).map((child) => child.identity());
  slot.record({ processes: identities.filter((identity) => identity !== undefined) });
}

function adminTokenIn(stateDir: string): string {
  const path = join(stateDir, 'pki', 'tokens.csv');
  if (!existsSync(path)) {
    const token = randomBytes(32).toString('base64url');
    writeFileSync(path, `${token},admin,admin,"system:masters"\n`, { mode: 0o600 });
  }
  return readFileSync(path, 'utf8').split(',')[0] ?? '';
}

function etcdArguments({ slot, stateDir, durableWrites }: ControlPlaneOptions): string[] {
  const dataDir = join(stateDir, 'etcd');
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const client = `http://127.0.0.1:${slot.ports.etcdClient}`;
  const peer = `http://127.0.0.1:${slot.ports.etcdPeer}`;
  return [
    `--data-dir=${dataDir}`,
    '--log-level=warn',
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    ...(durableWrites ? [] : ['--unsafe-no-fsync']),
  ];
}

async function apiServerArguments(
  options: ControlPlaneOptions,
  authority: CertificateAuthority,
  port: number,
  etcdUrl: string,
): Promise<string[]> {
  const { stateDir, bindAddress, serviceRange } = options;
  const pki = join(stateDir, 'pki');
  const loopback = bindAddress === '127.0.0.1';
  const serving = await authority.issue({
    name: 'apiserver',
    commonName: 'kube-apiserver',
    hosts: [
      ...new Set([bindAddress, '127.0.0.1', firstAddressOf(serviceRange)]),
      'localhost',
      ...['', '.default', '.default.svc', '.default.svc.cluster.local'].map(
        (suffix) => `kubernetes${suffix}`,
      ),
    ],
  });
  const kubeletClient = await authority.issue({
    name: 'apiserver-kubelet-client',
    commonName: 'kube-apiserver-kubelet-client',
    organization: 'felucca:kubelet-clients',
  });
  const keys = serviceAccountKeys(pki);
  return [
    `--etcd-servers=${etcdUrl}`,
    `--bind-address=${bindAddress}`,
    `--advertise-address=${bindAddress}`,
    `--secure-port=${port}`,
    `--cert-dir=${pki}`,
    `--tls-cert-file=${serving.certPath}`,
    `--tls-private-key-file=${serving.keyPath}`,
    `--client-ca-file=${authority.certPath}`,
    `--token-auth-file=${join(pki, 'tokens.csv')}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--anonymous-auth=false',
    '--allow-privileged=true',
    `--service-cluster-ip-range=${serviceRange}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${keys.publicPath}`,
    `--service-account-signing-key-file=${keys.privatePath}`,
    `--kubelet-client-certificate=${kubeletClient.certPath}`,
    `--kubelet-client-key=${kubeletClient.keyPath}`,
    `--kubelet-certificate-authority=${authority.certPath}`,
    '--kubelet-preferred-address-types=InternalIP',
    ...(options.auditPolicy === undefined
      ? []
      : [
          `--audit-policy-file=${options.auditPolicy}`,
          `--audit-log-path=${join(stateDir, 'logs', 'audit.log')}`,
          '--audit-log-mode=batch',
          '--audit-log-maxsize=10000',
        ]),
    // A loopback address is not a valid endpoint of the `kubernetes` Service, and no pod would use it.
    ...(loopback ? ['--endpoint-reconciler-type=none'] : []),
  ];
}

function firstAddressOf(range: string): string {
  const [network = ''] = range.split('/');
  return network.replace(/\.0$/, '.1');
}
