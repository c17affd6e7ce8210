import { pino } from 'pino';
import { Registry } from 'prom-client';
import { dataPlanePort } from '../../src/reconcilers/data-plane/port.ts';
import { DataPlaneStatusWriter } from '../../src/reconcilers/data-plane/status.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { ApiClient } from '../../src/sync/api-client.ts';
import type { ApiTlsFiles } from '../../src/sync/api-tls.ts';
import { identitySecret } from '../../src/sync/identity-secret.ts';
import { KubeSyncCluster } from '../../src/sync/kube-cluster.ts';
import { Link } from '../../src/sync/link.ts';
import { SyncMetrics } from '../../src/sync/sync-metrics.ts';
import { type Endpoint, type TestTransport, type TestWatches, testTransport, testWatches } from './kube.ts';

export interface RunningLink {
  transport: TestTransport;
  metrics: Registry;
  /** Kubernetes Events, as text. */
  events: string[];
  /** The link alone; its caches and connections stay. */
  stopLink(): Promise<void>;
  stop(): Promise<void>;
}

/** The link as main.ts composes it, without reconcilers and leader election. */
export async function runLink(options: {
  endpoint: Endpoint;
  apiUrl: string;
  token: string;
  namespace: string;
  tls?: ApiTlsFiles;
  /** Caches that were there before, as a standby has them. */
  standby?: TestWatches;
}): Promise<RunningLink> {
  const { endpoint, apiUrl, token, namespace } = options;
  const transport = testTransport(endpoint);
  const { watches, stop } = options.standby ?? (await testWatches(endpoint, transport.send));
  const log = pino({ level: process.env['FELUCCA_TEST_LOG'] ?? 'silent' });
  const metrics = new Registry();
  const events: string[] = [];
  const api = new ApiClient(apiUrl, options.tls);
  const port = dataPlanePort(transport.send);
  const link = new Link({
    api,
    cluster: new KubeSyncCluster(transport.send),
    identityStore: identitySecret(transport.send, namespace),
    watches,
    status: new DataPlaneStatusWriter({ port, now: () => new Date(), log, coalesceMs: 50 }),
    joinToken: () => Promise.resolve(token),
    instance: 'operator-0',
    operatorVersion: 'test',
    concurrency: 16,
    emit: (kind, key, _, event) => events.push(`${kind} ${key} ${event.reason} ${event.message}`),
    term: () => 1,
    aloneSinceMs: performance.now(),
    clock: systemClock,
    random: Math.random,
    metrics: new SyncMetrics(metrics),
    log,
  });
  void link.start();
  return {
    transport,
    metrics,
    events,
    stopLink: () => link.stop(2_000),
    stop: async () => {
      stop();
      await link.stop(2_000);
      api.close();
      transport.close();
    },
  };
}
