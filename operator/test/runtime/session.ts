import type { KubeObject } from '@felucca/contract';
import type { Cluster } from '@felucca/dev';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { onTestFinished } from 'vitest';
import {
  HttpTransport,
  type HttpTransportOptions,
  KubeClient,
  type KubeEndpoint,
  Reflector,
  type ReflectorOptions,
  RuntimeMetrics,
  type StoreEvent,
} from '../../src/runtime/index.ts';

export const log = pino({ level: process.env['LOG_LEVEL'] ?? 'silent' });

export const adminEndpoint = (cluster: Cluster, server = cluster.server): KubeEndpoint => ({
  server,
  ca: cluster.caPem,
  verify: true,
  auth: async () => ({ headers: { authorization: `Bearer ${cluster.adminToken}` } }),
});

export interface Session {
  client: KubeClient;
  transport: HttpTransport;
  registry: Registry;
  metrics: RuntimeMetrics;
}

/** A client of its own for one test, closed when the test ends. */
export function openSession(
  cluster: Cluster,
  options: Partial<HttpTransportOptions> & { server?: string } = {},
): Session {
  const { server, ...rest } = options;
  const registry = new Registry();
  const metrics = new RuntimeMetrics(registry);
  const endpoint = adminEndpoint(cluster, server);
  const transport = new HttpTransport({ endpoint, metrics, ...rest });
  onTestFinished(() => transport.close());
  return { client: new KubeClient(transport), transport, registry, metrics };
}

export interface Watching<T extends KubeObject> {
  reflector: Reflector<T>;
  events: StoreEvent<T>[];
  stop(): Promise<void>;
}

export function watch<T extends KubeObject = KubeObject>(
  session: Session,
  options: Omit<ReflectorOptions<T>, 'client' | 'log' | 'metrics'>,
): Watching<T> {
  const { client, metrics } = session;
  const reflector = new Reflector<T>({ client, log, metrics, ...options });
  const events: StoreEvent<T>[] = [];
  reflector.store.onEvent((event) => events.push(event));
  const stopping = new AbortController();
  const running = reflector.run(stopping.signal);
  const stop = (): Promise<void> => {
    stopping.abort();
    return running;
  };
  onTestFinished(stop);
  return { reflector, events, stop };
}

export const configMap = (
  name: string,
  data: Record<string, string> = {},
  namespace = 'default',
): KubeObject => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data }) as KubeObject;

export const series = async (session: Session, name: string): Promise<string[]> =>
  (await session.registry.getSingleMetricAsString(name)).split('\n').filter((line) => line.startsWith(name));

/** Waits until `check` does not throw any more; fails with what it threw last. */
export async function until(what: string, check: () => unknown, timeoutMs = 10_000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (performance.now() > deadlineMs)
        throw new Error(`${what} did not come within ${timeoutMs} ms: ${(error as Error).message}`, {
          cause: error,
        });
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
