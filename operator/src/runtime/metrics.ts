import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

// Names, labels and buckets are controller-runtime's, so that existing dashboards and alerts work:
// https://book.kubebuilder.io/reference/metrics-reference

/** Each ten times the one before, from 10 ns to 1000 s, as controller-runtime has them. */
const QUEUE_BUCKETS = Array.from({ length: 12 }, (_, exponent) => Number(`1e${exponent - 8}`));
const RECONCILE_BUCKETS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5,
  1.75, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
];
const REST_BUCKETS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];
const queueLabels = ['name', 'controller'] as const;

/** Gauges that grow with time are computed when they are read, not by a timer. */
type Collect = () => void;

/** Every series of the runtime, in one registry that is handed in: two operators in one test do not collide. */
export class RuntimeMetrics {
  readonly reconcileTotal: Counter<'controller' | 'result'>;
  readonly reconcileErrors: Counter<'controller'>;
  readonly terminalErrors: Counter<'controller'>;
  readonly panics: Counter<'controller'>;
  readonly timeouts: Counter<'controller'>;
  readonly reconcileTime: Histogram<'controller'>;
  readonly maxConcurrent: Gauge<'controller'>;
  readonly activeWorkers: Gauge<'controller'>;

  readonly queueDepth: Gauge<'name' | 'controller' | 'priority'>;
  readonly queueAdds: Counter<'name' | 'controller'>;
  readonly queueDuration: Histogram<'name' | 'controller'>;
  readonly workDuration: Histogram<'name' | 'controller'>;
  readonly unfinishedWork: Gauge<'name' | 'controller'>;
  readonly longestRunning: Gauge<'name' | 'controller'>;
  readonly queueRetries: Counter<'name' | 'controller'>;

  readonly restRequests: Counter<'code' | 'method' | 'host'>;
  readonly restDuration: Histogram<'verb' | 'host'>;
  readonly restRetries: Counter<'code' | 'verb' | 'host'>;

  readonly leader: Gauge<'name'>;
  readonly leaderSlowPath: Counter<'name'>;

  readonly watchRestarts: Counter<'kind' | 'reason'>;
  readonly watchEvents: Counter<'kind' | 'type'>;
  readonly watchAge: Gauge<'kind'>;
  readonly cachedObjects: Gauge<'kind'>;
  readonly eventsDropped: Counter;

  readonly #collectors = new Map<object, Collect[]>();

  constructor(registry: Registry) {
    const registers = [registry];
    const counter = <L extends string>(name: string, help: string, ...labelNames: L[]): Counter<L> =>
      new Counter({ name, help, labelNames, registers });
    const gauge = <L extends string>(name: string, help: string, ...labelNames: L[]): Gauge<L> => {
      const collectors: Collect[] = [];
      const created: Gauge<L> = new Gauge({
        name,
        help,
        labelNames,
        registers,
        collect: () => {
          for (const collect of collectors) collect();
        },
      });
      this.#collectors.set(created, collectors);
      return created;
    };
    const histogram = <L extends string>(
      name: string,
      help: string,
      buckets: number[],
      ...labelNames: L[]
    ): Histogram<L> => new Histogram({ name, help, buckets, labelNames, registers });

    this.reconcileTotal = counter(
      'controller_runtime_reconcile_total',
      'Reconciles, by controller and result.',
      'controller',
      'result',
    );
    this.reconcileErrors = counter(
      'controller_runtime_reconcile_errors_total',
      'Reconciles that failed.',
      'controller',
    );
    this.terminalErrors = counter(
      'controller_runtime_terminal_reconcile_errors_total',
      'Reconciles that failed in a way no retry helps.',
      'controller',
    );
    this.panics = counter(
      'controller_runtime_reconcile_panics_total',
      'Reconciles that ended in a programming error.',
      'controller',
    );
    this.timeouts = counter(
      'controller_runtime_reconcile_timeouts_total',
      'Reconciles that took longer than allowed.',
      'controller',
    );
    this.reconcileTime = histogram(
      'controller_runtime_reconcile_time_seconds',
      'Duration of one reconcile.',
      RECONCILE_BUCKETS,
      'controller',
    );
    this.maxConcurrent = gauge(
      'controller_runtime_max_concurrent_reconciles',
      'Most reconciles at a time.',
      'controller',
    );
    this.activeWorkers = gauge(
      'controller_runtime_active_workers',
      'Reconciles that run right now.',
      'controller',
    );

    this.queueDepth = gauge('workqueue_depth', 'Keys that wait.', ...queueLabels, 'priority');
    this.queueAdds = counter('workqueue_adds_total', 'Keys added.', ...queueLabels);
    this.queueDuration = histogram(
      'workqueue_queue_duration_seconds',
      'How long a key waits.',
      QUEUE_BUCKETS,
      ...queueLabels,
    );
    this.workDuration = histogram(
      'workqueue_work_duration_seconds',
      'How long a key is worked on.',
      QUEUE_BUCKETS,
      ...queueLabels,
    );
    this.unfinishedWork = gauge(
      'workqueue_unfinished_work_seconds',
      'Seconds of work in progress, all keys together; a large value means stuck workers.',
      ...queueLabels,
    );
    this.longestRunning = gauge(
      'workqueue_longest_running_processor_seconds',
      'How long the longest running key has been worked on.',
      ...queueLabels,
    );
    this.queueRetries = counter(
      'workqueue_retries_total',
      'Keys added with a delay: backoff or a wished time.',
      ...queueLabels,
    );

    this.restRequests = counter(
      'rest_client_requests_total',
      'Requests to the API server, by status code (or <error>), method and host.',
      'code',
      'method',
      'host',
    );
    this.restDuration = histogram(
      'rest_client_request_duration_seconds',
      'Latency of requests to the API server.',
      REST_BUCKETS,
      'verb',
      'host',
    );
    this.restRetries = counter(
      'rest_client_request_retries_total',
      'Requests sent again.',
      'code',
      'verb',
      'host',
    );

    this.leader = gauge('leader_election_master_status', '1 while this process is the leader.', 'name');
    this.leaderSlowPath = counter(
      'leader_election_slowpath_total',
      'Renewals that had to read the Lease first.',
      'name',
    );

    this.watchRestarts = counter(
      'felucca_watch_restarts_total',
      'Watches that ended, by kind and why.',
      'kind',
      'reason',
    );
    this.watchEvents = counter('felucca_watch_events_total', 'Events received by watches.', 'kind', 'type');
    this.watchAge = gauge(
      'felucca_watch_age_seconds',
      'Seconds since the API server last said anything about a kind; above 150 its watch is begun again, above 240 /readyz fails.',
      'kind',
    );
    this.cachedObjects = gauge('felucca_watch_objects', 'Objects in the cache.', 'kind');
    this.eventsDropped = counter(
      'felucca_events_dropped_total',
      'Kubernetes Events not sent: too many about one object, or refused by the API server.',
    );
  }

  /** `collect` runs before the gauge is read. Returns the function that takes it off again. */
  onCollect(gauge: object, collect: Collect): () => void {
    const collectors = this.#collectors.get(gauge);
    if (!collectors) throw new Error('onCollect knows only the gauges of RuntimeMetrics.');
    collectors.push(collect);
    return () => {
      const index = collectors.indexOf(collect);
      if (index >= 0) collectors.splice(index, 1);
    };
  }
}
