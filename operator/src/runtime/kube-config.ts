import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { parse } from 'yaml';
import { type Clock, systemClock } from './clock.ts';

export interface Auth {
  headers: Record<string, string>;
  cert?: string | Buffer;
  key?: string | Buffer;
}

/** Where the API server is, whom to trust and who we are. */
export interface KubeEndpoint {
  readonly server: string;
  /** PEM; read again at each new connection, because it is rotated. Undefined: the system's roots. */
  readonly ca: string | Buffer | undefined;
  readonly servername?: string;
  /** False only when a kubeconfig says `insecure-skip-tls-verify`. */
  readonly verify: boolean;
  /** `refresh` after a 401: read or ask again, do not answer from memory. */
  auth(options?: { refresh?: boolean }): Promise<Auth>;
}

export interface InClusterValues {
  /** KUBERNETES_SERVICE_HOST */
  host: string;
  /** KUBERNETES_SERVICE_PORT */
  port: string;
  /** Default: where every pod has them. */
  credentialsDirectory?: string;
}

const TOKEN_FRESH_MS = 30_000;

/** A token file that is replaced before its token expires: read again every half minute. */
function rotatingToken(path: string, clock: Clock): (refresh?: boolean) => string {
  let token = '';
  let readMs = Number.NEGATIVE_INFINITY;
  return (refresh = false) => {
    if (refresh || clock.nowMs() - readMs > TOKEN_FRESH_MS) {
      token = readFileSync(path, 'utf8').trim();
      readMs = clock.nowMs();
    }
    return token;
  };
}

const bearer = (token: string): Auth => ({ headers: { authorization: `Bearer ${token}` } });

export function inClusterEndpoint(values: InClusterValues, clock: Clock = systemClock): KubeEndpoint {
  const directory = values.credentialsDirectory ?? '/var/run/secrets/kubernetes.io/serviceaccount';
  const token = rotatingToken(join(directory, 'token'), clock);
  const host = values.host.includes(':') ? `[${values.host}]` : values.host;
  return {
    server: `https://${host}:${values.port}`,
    verify: true,
    get ca() {
      return readFileSync(join(directory, 'ca.crt'));
    },
    auth: async ({ refresh } = {}) => bearer(token(refresh)),
  };
}

interface Named<T> {
  name: string;
  value: T;
}
interface KubeconfigCluster {
  server: string;
  'certificate-authority'?: string;
  'certificate-authority-data'?: string;
  'insecure-skip-tls-verify'?: boolean;
  'tls-server-name'?: string;
  'proxy-url'?: string;
}
interface KubeconfigUser {
  token?: string;
  tokenFile?: string;
  username?: string;
  password?: string;
  'client-certificate'?: string;
  'client-certificate-data'?: string;
  'client-key'?: string;
  'client-key-data'?: string;
  exec?: unknown;
  'auth-provider'?: unknown;
}

/** @throws when the file cannot be read, or names a context, cluster or user that it does not have. */
export function kubeconfigEndpoint(
  path: string,
  options: { context?: string; clock?: Clock } = {},
): KubeEndpoint {
  const file = parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  const find = <T>(list: string, field: string, name: string): T => {
    const entries = (file[list] ?? []) as (Named<T> & Record<string, T>)[];
    const found = entries.find((entry) => entry.name === name)?.[field];
    if (!found)
      throw new Error(
        `Kubeconfig ${path} has no ${field} "${name}" in ${list}; add it or choose another context.`,
      );
    return found;
  };
  const contextName = options.context ?? String(file['current-context'] ?? '');
  const context = find<{ cluster: string; user: string }>('contexts', 'context', contextName);
  const cluster = find<KubeconfigCluster>('clusters', 'cluster', context.cluster);
  const user = find<KubeconfigUser>('users', 'user', context.user);
  if (cluster['proxy-url'])
    throw new Error(`Kubeconfig ${path}: proxy-url is not supported; reach the API server directly.`);

  const pem = (inline: string | undefined, file: string | undefined): Buffer | undefined => {
    if (inline) return Buffer.from(inline, 'base64');
    return file ? readFileSync(isAbsolute(file) ? file : join(dirname(path), file)) : undefined;
  };
  return {
    server: cluster.server.replace(/\/+$/, ''),
    verify: cluster['insecure-skip-tls-verify'] !== true,
    ...(cluster['tls-server-name'] ? { servername: cluster['tls-server-name'] } : {}),
    get ca() {
      return pem(cluster['certificate-authority-data'], cluster['certificate-authority']);
    },
    auth:
      user.exec || user['auth-provider']
        ? pluginAuth(path, contextName)
        : staticAuth(user, pem, dirname(path), options.clock ?? systemClock),
  };
}

function staticAuth(
  user: KubeconfigUser,
  pem: (inline: string | undefined, file: string | undefined) => Buffer | undefined,
  directory: string,
  clock: Clock,
): KubeEndpoint['auth'] {
  const fromFile = user.tokenFile
    ? rotatingToken(isAbsolute(user.tokenFile) ? user.tokenFile : join(directory, user.tokenFile), clock)
    : undefined;
  return async ({ refresh } = {}) => {
    const cert = pem(user['client-certificate-data'], user['client-certificate']);
    const key = pem(user['client-key-data'], user['client-key']);
    const token = user.token ?? fromFile?.(refresh);
    const basic = user.username
      ? `Basic ${Buffer.from(`${user.username}:${user.password ?? ''}`).toString('base64')}`
      : undefined;
    const authorization = token ? `Bearer ${token}` : basic;
    return { headers: authorization ? { authorization } : {}, ...(cert && key ? { cert, key } : {}) };
  };
}

/** Exec and OIDC plugins through client-node, loaded only here: the import costs 0.85 s and 85 MB. */
function pluginAuth(path: string, context: string): KubeEndpoint['auth'] {
  let loaded: Promise<import('@kubernetes/client-node').KubeConfig> | undefined;
  const load = async (): Promise<import('@kubernetes/client-node').KubeConfig> => {
    const { KubeConfig } = await import('@kubernetes/client-node');
    const config = new KubeConfig();
    config.loadFromFile(path);
    config.setCurrentContext(context);
    return config;
  };
  return async ({ refresh } = {}) => {
    if (refresh) loaded = undefined;
    loaded ??= load();
    const options: { headers?: Record<string, string>; cert?: Buffer; key?: Buffer } = {};
    await (await loaded).applyToHTTPSOptions(options as never);
    const authorization = options.headers?.['Authorization'] ?? options.headers?.['authorization'];
    return {
      headers: authorization ? { authorization } : {},
      ...(options.cert && options.key ? { cert: options.cert, key: options.key } : {}),
    };
  };
}
