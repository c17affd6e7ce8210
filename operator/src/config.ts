import { LEASE_NAME, plainWords } from '@felucca/contract';
import { z } from 'zod';
import type { ApiTlsFiles } from './sync/api-tls.ts';

const port = z.coerce.number().int().min(0).max(65_535);
const count = z.coerce.number().int().min(1).max(256);
const optional = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (value === '' ? undefined : value), schema.optional());

const environmentSchema = z
  .object({
    FELUCCA_API_URL: optional(z.url({ protocol: /^https?$/, error: 'must be an http(s) URL' })),
    FELUCCA_API_CA_FILE: optional(z.string()),
    FELUCCA_API_CLIENT_CERT_FILE: optional(z.string()),
    FELUCCA_API_CLIENT_KEY_FILE: optional(z.string()),
    // A file that became a Secret ends with a line feed. What is no token stops nobody here: who has joined needs none.
    FELUCCA_JOIN_TOKEN: optional(z.string().trim()),
    FELUCCA_JOIN_TOKEN_FILE: optional(z.string()),
    FELUCCA_VERSION: optional(z.string().max(64)),
    POD_NAME: optional(z.string().max(128)),
    POD_NAMESPACE: z.string().min(1).max(63).default('felucca-system'),
    KUBECONFIG: optional(z.string()),
    KUBERNETES_SERVICE_HOST: optional(z.string()),
    KUBERNETES_SERVICE_PORT: z.string().default('443'),
    SERVICE_ACCOUNT: z.string().default('felucca-operator'),
    TENANT_CLUSTER_ROLE: z.string().default('felucca-operator-tenant'),
    METRICS_HOST: z.string().default('0.0.0.0'),
    METRICS_PORT: port.default(8080),
    LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('info'),
    WORKERS: count.default(8),
    SYNC_CONCURRENCY: count.default(16),
    LEASE_NAME: z.string().default(LEASE_NAME),
    SHARDS: z.coerce.number().int().min(1).max(64).default(1),
    LEASE_DURATION_MS: z.coerce.number().int().min(1_000).max(300_000).default(15_000),
    SHUTDOWN_TIMEOUT_MS: z.coerce.number().int().min(1_000).max(300_000).default(25_000),
  })
  .refine((env) => env.KUBECONFIG || env.KUBERNETES_SERVICE_HOST, {
    path: ['KUBECONFIG'],
    error: 'is not set and this is not a pod; name the kubeconfig of the cluster to serve',
  })
  .refine((env) => !(env.FELUCCA_JOIN_TOKEN && env.FELUCCA_JOIN_TOKEN_FILE), {
    path: ['FELUCCA_JOIN_TOKEN'],
    error: 'give either FELUCCA_JOIN_TOKEN or FELUCCA_JOIN_TOKEN_FILE, not both',
  })
  .refine((env) => !env.FELUCCA_API_CLIENT_CERT_FILE === !env.FELUCCA_API_CLIENT_KEY_FILE, {
    path: ['FELUCCA_API_CLIENT_CERT_FILE'],
    error: 'is of no use without FELUCCA_API_CLIENT_KEY_FILE, and the other way round; give both or neither',
  });

export interface Config {
  /** Absent: no control plane; only locally applied objects are handled. */
  apiUrl?: string;
  apiTls: ApiTlsFiles;
  joinToken?: string;
  joinTokenFile?: string;
  version: string;
  podName: string;
  namespace: string;
  /** A kubeconfig file, else the API server of the pod's own cluster. */
  kube: { kubeconfig: string } | { host: string; port: string };
  /** The operator's ServiceAccount and the chart's role for tenant namespaces, bound to it there. */
  serviceAccount: string;
  tenantClusterRole: string;
  metricsHost: string;
  /** Of /metrics, /healthz and /readyz. */
  metricsPort: number;
  logLevel: string;
  workers: number;
  syncConcurrency: number;
  leaseName: string;
  leaseDurationMs: number;
  /** In how many parts the Instances are divided among the operators of the cluster. */
  shards: number;
  shutdownTimeoutMs: number;
}

/** @throws with every wrong variable, what is wrong with it and its name, in one message. */
export function readConfig(environment: Record<string, string | undefined>, hostname: string): Config {
  const parsed = environmentSchema.safeParse(environment);
  if (!parsed.success) {
    const lines = parsed.error.issues
      .flatMap((issue) => plainWords(issue))
      .map(({ path, message }) => `  ${path.slice(1)}: ${message}`);
    throw new Error(`The operator's environment is not valid:\n${lines.join('\n')}`);
  }
  const env = parsed.data;
  return {
    ...(env.FELUCCA_API_URL ? { apiUrl: env.FELUCCA_API_URL } : {}),
    apiTls: {
      ...(env.FELUCCA_API_CA_FILE ? { ca: env.FELUCCA_API_CA_FILE } : {}),
      ...(env.FELUCCA_API_CLIENT_CERT_FILE ? { cert: env.FELUCCA_API_CLIENT_CERT_FILE } : {}),
      ...(env.FELUCCA_API_CLIENT_KEY_FILE ? { key: env.FELUCCA_API_CLIENT_KEY_FILE } : {}),
    },
    ...(env.FELUCCA_JOIN_TOKEN ? { joinToken: env.FELUCCA_JOIN_TOKEN } : {}),
    ...(env.FELUCCA_JOIN_TOKEN_FILE ? { joinTokenFile: env.FELUCCA_JOIN_TOKEN_FILE } : {}),
    kube: env.KUBECONFIG
      ? { kubeconfig: env.KUBECONFIG }
      : { host: env.KUBERNETES_SERVICE_HOST ?? '', port: env.KUBERNETES_SERVICE_PORT },
    serviceAccount: env.SERVICE_ACCOUNT,
    tenantClusterRole: env.TENANT_CLUSTER_ROLE,
    version: env.FELUCCA_VERSION ?? '0.1.0',
    podName: env.POD_NAME ?? hostname,
    namespace: env.POD_NAMESPACE,
    metricsHost: env.METRICS_HOST,
    metricsPort: env.METRICS_PORT,
    logLevel: env.LOG_LEVEL,
    workers: env.WORKERS,
    syncConcurrency: env.SYNC_CONCURRENCY,
    leaseName: env.LEASE_NAME,
    leaseDurationMs: env.LEASE_DURATION_MS,
    shards: env.SHARDS,
    shutdownTimeoutMs: env.SHUTDOWN_TIMEOUT_MS,
  };
}
