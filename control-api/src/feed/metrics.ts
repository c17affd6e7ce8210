import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** Database work of the feed that is retried when it fails. */
export const FEED_TASKS = [
  'poll',
  'sessions',
  'delta',
  'snapshot',
  'compaction',
  'retention',
  'held',
] as const;
export type FeedTask = (typeof FEED_TASKS)[number];

/** Series of the feed. Labels are closed sets: nothing grows with tenants or data planes. */
export function createFeedMetrics(registry: Registry) {
  const registers = [registry];
  const metrics = {
    streams: new Gauge({
      name: 'felucca_feed_streams',
      help: 'Connected operators, by transport.',
      labelNames: ['transport'] as const,
      registers,
    }),
    lag: new Gauge({
      name: 'felucca_feed_lag',
      help: 'Revisions that the connected operator furthest behind has not been sent yet.',
      registers,
    }),
    behind: new Gauge({
      name: 'felucca_feed_behind',
      help: 'Connected operators that have not been sent everything yet.',
      registers,
    }),
    delivery: new Histogram({
      name: 'felucca_feed_delivery_seconds',
      help: 'From the commit of a desired row to its bytes handed to the operator’s socket.',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    }),
    rows: new Counter({
      name: 'felucca_feed_rows_total',
      help: 'Desired rows sent, by frame.',
      labelNames: ['frame'] as const,
      registers,
    }),
    hellos: new Counter({
      name: 'felucca_feed_hellos_total',
      help: 'Sync requests answered, by what followed.',
      labelNames: ['result'] as const,
      registers,
    }),
    resyncs: new Counter({
      name: 'felucca_feed_resyncs_total',
      help: 'Snapshots that an operator needed, by reason.',
      labelNames: ['reason'] as const,
      registers,
    }),
    corrected: new Counter({
      name: 'felucca_feed_digests_corrected_total',
      help: 'Counters of data planes whose digest was not that of their rows.',
      registers,
    }),
    drains: new Counter({
      name: 'felucca_feed_drains_total',
      help: 'Streams the API ended on purpose, by reason.',
      labelNames: ['reason'] as const,
      registers,
    }),
    wakes: new Counter({
      name: 'felucca_feed_wakes_total',
      help: 'What made the feed look for new rows; poll means that a notification had been lost.',
      labelNames: ['source'] as const,
      registers,
    }),
    epochs: new Counter({
      name: 'felucca_feed_epochs_total',
      help: 'New epochs, by reason. cursor_ahead means that a database went back in time.',
      labelNames: ['reason'] as const,
      registers,
    }),
    compacted: new Counter({
      name: 'felucca_feed_compacted_rows_total',
      help: 'Tombstones removed.',
      registers,
    }),
    held: new Gauge({
      name: 'felucca_feed_held_deletions',
      help: 'Deletions that exceed the budget of the control plane and wait for a person, of all data planes; counted each minute.',
      registers,
    }),
    swept: new Counter({
      name: 'felucca_swept_rows_total',
      help: 'Rows removed because they were older than their retention, by table.',
      labelNames: ['table'] as const,
      registers,
    }),
    listening: new Gauge({
      name: 'felucca_feed_listening',
      help: '1 while notifications of other API processes arrive; otherwise the safety poll carries the feed.',
      registers,
    }),
    errors: new Counter({
      name: 'felucca_feed_errors_total',
      help: 'Failed database work of the feed, by task. It is retried.',
      labelNames: ['task'] as const,
      registers,
    }),
  };
  // At 0 from the start: an increase over a series that appears with its first event misses that event.
  for (const reason of ['lineage', 'cursor_ahead']) metrics.epochs.inc({ reason }, 0);
  for (const task of FEED_TASKS) metrics.errors.inc({ task }, 0);
  return metrics;
}
export type FeedMetrics = ReturnType<typeof createFeedMetrics>;
