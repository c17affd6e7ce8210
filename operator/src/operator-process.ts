import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import {
  ANNOTATIONS,
  API_VERSION,
  type BlueprintObject,
  FEED_KINDS,
  type FeedKind,
  type InstanceObject,
  type KubeObject,
  objectRef,
  type TenantObject,
  traceOf,
} from '@felucca/contract';
import type { Logger } from 'pino';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Config } from './config.ts';
import type { OperatorRuntime } from './operator.ts';
import { dataPlanePort } from './reconcilers/data-plane/port.ts';
import { DataPlaneStatusWriter } from './reconcilers/data-plane/status.ts';
import { createReconcilers, type Reconcilers } from './reconcilers/index.ts';
import {
  coldCaches,
  type EventNote,
  EventRecorder,
  FencedTransport,
  GVR,
  type HealthServer,
  HttpTransport,
  highestTerm,
  inClusterEndpoint,
  KubeClient,
  kubeconfigEndpoint,
  ReconnectBackoff,
  Reflector,
  RuntimeMetrics,
  Shards,
  type Store,
  serveHealth,
  showsTermOf,
  staleCaches,
  systemClock,
  whenWarm,
} from './runtime/index.ts';
import { ApiClient } from './sync/api-client.ts';
import type { LiveObject } from './sync/cluster.ts';
import { identitySecret } from './sync/identity-secret.ts';
import { KubeSyncCluster, type KubeTransport } from './sync/kube-cluster.ts';
import { Link } from './sync/link.ts';
import { reflectorWatches } from './sync/reflector-watches.ts';
import { SyncMetrics } from './sync/sync-metrics.ts';
import { createUnsealer } from './sync/unsealer.ts';
import type { Watches } from './sync/watches.ts';

/** For how long a watch may say nothing. It has a deadline of its own (150 s), after which it begins again. */
const SILENCE = {
  /** It did not come back: what is reconciled may be out of date. */
  unreadyMs: 240_000,
  /** Far beyond it only a new process helps. */
  restartMs: 600_000,
};

/** For rows under way and reports that are not sent yet when the process stops: who stands by waits for it. */
const LAST_REPORTS_MS = 1_500;
/** For Events that are not sent yet when the process stops. */
const LAST_EVENTS_MS = 2_000;

/** Everything that one operator process does, wired together. */
export class OperatorProcess implements OperatorRuntime {
  readonly client: KubeClient;
  readonly metrics: RuntimeMetrics;
  readonly server: string;
  readonly #config: Config;
  readonly #log: Logger;
  readonly #onFatal: (why: string) => void;
  readonly #silence: typeof SILENCE;
  readonly #registry = new Registry();
  readonly #transport: HttpTransport;
  readonly #reflectors: Record<FeedKind, Reflector<LiveObject>>;
  readonly #watches: Watches;
  readonly #events: EventRecorder;
  readonly #reconcilers: Reconcilers;
  readonly #syncMetrics: SyncMetrics;
  readonly #shards: Shards;
  /** What is written with for each shard; the other client is for reads, Events and the Leases themselves. */
  readonly #writers: KubeClient[];
  /** Ends what only the leader does, then the election, then the caches. */
  readonly #working = new AbortController();
  readonly #electing = new AbortController();
  readonly #watching = new AbortController();
  /** What a leader could not begin with yet, and why. */
  readonly #notBegun = new Map<string, string>();
  #link: Link | undefined;
  #health: HealthServer | undefined;
  #work: Promise<unknown> | undefined;
  #election: Promise<unknown> = Promise.resolve();
  #caches: Promise<unknown> = Promise.resolve();

  constructor(config: Config, log: Logger, onFatal: (why: string) => void, silence = SILENCE) {
    this.#config = config;
    this.#log = log;
    this.#onFatal = onFatal;
    this.#silence = silence;
    this.metrics = new RuntimeMetrics(this.#registry);
    this.#syncMetrics = new SyncMetrics(this.#registry);
    this.#describeBuild();
    const { kube } = config;
    const endpoint = 'kubeconfig' in kube ? kubeconfigEndpoint(kube.kubeconfig) : inClusterEndpoint(kube);
    this.server = endpoint.server;
    const userAgent = `felucca-operator/${config.version}`;
    this.#transport = new HttpTransport({ endpoint, metrics: this.metrics, userAgent });
    this.client = new KubeClient(this.#transport);
    this.#reflectors = {
      DataPlane: this.#reflector('DataPlane'),
      Blueprint: this.#reflector('Blueprint'),
      Tenant: this.#reflector('Tenant'),
      Instance: this.#reflector('Instance'),
    };
    this.#watches = reflectorWatches(this.#reflectors);
    this.#events = new EventRecorder({
      client: this.client,
      log,
      metrics: this.metrics,
      controller: 'felucca.dev/operator',
      instance: config.podName,
    });
    this.#shards = this.#createShards();
    this.#writers = Array.from({ length: config.shards }, (_, shard) => {
      const fence = this.#shards.fence(shard);
      return new KubeClient(new FencedTransport(this.#transport, fence));
    });
    this.#reconcilers = this.#createReconcilers();
  }

  async start(): Promise<void> {
    const { metricsHost: host, metricsPort: port } = this.#config;
    const reflectors = Object.values(this.#reflectors);
    const { unreadyMs } = this.#silence;
    const live = { watches: () => this.#staleWatch() };
    const ready = {
      apiServer: () => this.#transport.reachability.trouble,
      caches: () => coldCaches(reflectors) ?? staleCaches(reflectors, unreadyMs),
      children: () => this.#reconcilers.waitsFor() ?? this.#reconcilers.staleFor(unreadyMs),
      leading: () => [...this.#notBegun.values()].join('; ') || undefined,
    };
    this.#health = await serveHealth({ host, port, registry: this.#registry, live, ready });
    await this.#shards.lookAhead();
    // Children too: whoever stands by can reconcile at once when it is elected.
    this.#caches = Promise.all([
      ...reflectors.map((reflector) => reflector.run(this.#watching.signal)),
      this.#reconcilers.watch(this.#watching.signal),
    ]);
    const synced = Promise.all(reflectors.map(({ store }) => store.synced));
    await whenWarm(synced, reflectors, { log: this.#log, signal: this.#watching.signal });
    if (this.#electing.signal.aborted) return;
    this.#election = this.#shards.run(this.#electing.signal);
    this.#log.info({ port: this.#health.port, api: this.#config.apiUrl ?? 'none' }, 'operator runs');
  }

  async stop(): Promise<void> {
    this.#log.info('stopping');
    this.#working.abort();
    await Promise.all([this.#link?.stop(LAST_REPORTS_MS), this.#work]);
    // From here on the writers refuse. Who stands by does not wait for Events, which need no Lease.
    this.#electing.abort();
    await this.#election;
    await this.#events.stop(LAST_EVENTS_MS);
    this.#watching.abort();
    await this.#caches;
    await this.#transport.close();
    await this.#health?.close();
    this.#log.info('stopped');
  }

  #createShards(): Shards {
    const { podName, namespace, leaseName: name, leaseDurationMs, shards: count } = this.#config;
    return new Shards({
      client: this.client,
      log: this.#log,
      metrics: this.metrics,
      namespace,
      name,
      // The admission policy looks for the pod's name before the "_".
      identity: `${podName}_${randomBytes(4).toString('hex')}`,
      leaseDurationMs,
      count,
      highestTerm: () => highestTerm(this.#cached()),
      wasHeld: (lease) => showsTermOf(lease, this.#cached()),
      prepare: (shard, { unheldSinceMs }) => this.#prepare(shard, unheldSinceMs),
      onBegin: (shard) => this.#lead(shard),
      onLost: (why) => this.#onFatal(why),
    });
  }

  #cached(): LiveObject[] {
    return Object.values(this.#reflectors).flatMap(({ store }) => store.list());
  }

  #prepare(shard: number, unheldSinceMs: number): Promise<void> {
    const { signal } = this.#working;
    const aloneSinceMs = Math.min(unheldSinceMs, systemClock.nowMs());
    if (shard === 0) void this.#begin('link', () => this.#startLink(aloneSinceMs, signal));
    // What the leader before did last may not have arrived here yet: who acted on an older cache would undo it.
    return this.#begin('reconcilers', async () => {
      const own = Object.values(this.#reflectors).map((one) => one.listedSince(aloneSinceMs, signal));
      await Promise.all([...own, this.#reconcilers.listedSince(aloneSinceMs, signal)]);
    });
  }

  #lead(shard: number): void {
    const { signal } = this.#working;
    if (signal.aborted) return;
    this.#work ??= this.#reconcilers
      .run(signal)
      .catch((error: unknown) => this.#giveUp(`reconcilers ended: ${String(error)}`));
    this.#reconcilers.resume(shard);
  }

  /** A leader begins with reads; one that fails is tried again, as all of the API server's clients do later on. */
  async #begin(what: string, attempt: () => Promise<unknown>): Promise<void> {
    const { signal } = this.#working;
    const backoff = new ReconnectBackoff(systemClock);
    while (!signal.aborted) {
      try {
        await attempt();
        this.#notBegun.delete(what);
        return;
      } catch (err) {
        this.#notBegun.set(what, `the ${what} could not begin: ${(err as Error).message}`);
        this.#log.warn({ err }, `the ${what} could not begin; it is tried again`);
      }
      await systemClock.sleep(backoff.nextMs(), signal);
    }
  }

  /** Gives the Lease back first, so that whoever stands by need not wait for it to expire. */
  #giveUp(why: string): void {
    this.#working.abort();
    this.#electing.abort();
    void this.#election.finally(() => this.#onFatal(why));
  }

  async #startLink(aloneSinceMs: number, signal: AbortSignal): Promise<void> {
    const { apiUrl, apiTls, podName, version, syncConcurrency } = this.#config;
    const send: KubeTransport = (request) => this.#writers[0]!.send(request);
    const log = this.#log.child({ part: 'sync' });
    const status = new DataPlaneStatusWriter({ port: dataPlanePort(send), now: systemClock.date, log });
    if (!apiUrl) {
      await this.#sayNotConfigured(status);
      return;
    }
    const api = new ApiClient(apiUrl, apiTls);
    // stop() may have come in between, and ends only the link that it finds.
    if (signal.aborted) return;
    const link = new Link({
      api,
      cluster: new KubeSyncCluster(send),
      identityStore: identitySecret(send, this.#config.namespace),
      watches: this.#watches,
      status,
      joinToken: () => this.#joinToken(),
      instance: podName,
      operatorVersion: version,
      concurrency: syncConcurrency,
      emit: (kind, key, uid, event) => this.#events.emit(aboutRow(kind, key, uid), event),
      term: () => this.#shards.term(0) ?? 0,
      aloneSinceMs,
      clock: systemClock,
      random: Math.random,
      metrics: this.#syncMetrics,
      log,
    });
    this.#link = link;
    try {
      await link.start();
    } catch (error) {
      await link.stop(0);
      throw error;
    }
  }

  async #sayNotConfigured(status: DataPlaneStatusWriter): Promise<void> {
    await status.load();
    // Of an earlier process with a control plane.
    for (const type of ['FeedConnected', 'DeletionBlocked', 'RowsRefused'] as const) status.clear(type);
    status.condition({
      type: 'Joined',
      status: 'False',
      reason: 'NotConfigured',
      message: 'no FELUCCA_API_URL is set; only objects applied on this cluster are handled',
    });
  }

  async #joinToken(): Promise<string | undefined> {
    const { joinToken, joinTokenFile } = this.#config;
    if (joinToken || !joinTokenFile) return joinToken;
    // Read anew at each attempt: a Secret's file is replaced when somebody renews the token.
    return (await readFile(joinTokenFile, 'utf8').catch(() => '')).trim() || undefined;
  }

  #createReconcilers(): Reconcilers {
    const { namespace, serviceAccount, tenantClusterRole, workers } = this.#config;
    const { Instance, Blueprint, Tenant } = this.#reflectors;
    return createReconcilers({
      shards: this.#shards,
      clientOf: (shard) => this.#writers[shard]!,
      stores: {
        instances: Instance.store as Store<KubeObject> as Store<InstanceObject>,
        blueprints: Blueprint.store as Store<KubeObject> as Store<BlueprintObject>,
        tenants: Tenant.store as Store<KubeObject> as Store<TenantObject>,
      },
      learn: (written) => this.#reflectors[written.kind as FeedKind]?.learn(written),
      createReflector: (options) =>
        new Reflector({ client: this.client, log: this.#log, metrics: this.metrics, ...options }),
      operator: { namespace, serviceAccount, tenantClusterRole },
      open: createUnsealer(identitySecret((request) => this.client.send(request), namespace)),
      emit: (about, event) => this.#announce(about, event),
      metrics: this.metrics,
      registry: this.#registry,
      log: this.#log,
      workers,
    });
  }

  #reflector(kind: FeedKind): Reflector<LiveObject> {
    return new Reflector<LiveObject>({
      client: this.client,
      log: this.#log,
      metrics: this.metrics,
      gvr: GVR[kind],
    });
  }

  /** What is worth an Event is worth a line of the log, which outlives it and names the trace of the order. */
  #announce(about: KubeObject, event: EventNote): void {
    const { name, namespace, annotations } = about.metadata;
    const { reason, message } = event;
    const trace = traceOf(annotations?.[ANNOTATIONS.traceparent]);
    this.#log.info({ kind: about.kind, namespace, name, reason, ...trace }, message);
    this.#events.emit(about, event);
  }

  /** An API server that is away silences every watch too, and no restart brings it back. */
  #staleWatch(): string | undefined {
    const limitMs = this.#silence.restartMs;
    if (this.#transport.reachability.steadyMs <= limitMs) return undefined;
    const stale = FEED_KINDS.filter((kind) => this.#reflectors[kind].store.ageMs() > limitMs);
    if (stale.length === 0) return undefined;
    return `nothing heard of ${stale.join(', ')} for ${limitMs / 1000} s, although the API server answers requests`;
  }

  #describeBuild(): void {
    collectDefaultMetrics({ register: this.#registry });
    const build = new Gauge({
      name: 'felucca_build_info',
      help: 'Always 1; says which operator this is.',
      labelNames: ['version', 'node'],
      registers: [this.#registry],
    });
    build.set({ version: this.#config.version, node: process.version }, 1);
  }
}

const aboutRow = (kind: FeedKind, key: string, uid: string | undefined): KubeObject => ({
  apiVersion: API_VERSION,
  kind,
  metadata: { ...objectRef(kind, key), ...(uid ? { uid } : {}) },
});
