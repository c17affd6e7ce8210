import { DRAIN_REASONS, FEED_ERRORS } from '@felucca/contract';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { NACK_CODES } from './nacks.ts';

/** Why a connection ends; besides these there is one for each status that the API may answer with. */
const LOSSES = [
  ...['network', 'closed', 'silent', 'protocol', 'gap', 'digest', 'diverged', 'session'],
  ...['rows_missing', 'wrong_data_plane'],
  ...['http_401', 'http_429', 'http_500', 'http_502', 'http_503', 'http_504'],
  ...FEED_ERRORS.map((code) => code.toLowerCase()),
  ...DRAIN_REASONS.map((reason) => `drain_${reason}`),
];

/** Series of the link. Labels are closed sets: none grows with tenants or Instances. */
export class SyncMetrics {
  readonly connected: Gauge;
  readonly lag: Gauge;
  readonly reconnects: Counter<'reason'>;
  readonly resyncs: Counter;
  readonly propagation: Histogram<'stage'>;
  readonly reports: Counter<'result'>;
  readonly reportPending: Gauge;
  readonly heldDeletions: Gauge;
  readonly nacks: Counter<'code'>;
  readonly refusedRows: Gauge<'code'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.connected = new Gauge({
      name: 'felucca_feed_connected',
      help: 'Whether the feed of this data plane is connected (1) or not (0).',
      registers,
    });
    this.lag = new Gauge({
      name: 'felucca_feed_lag_revisions',
      help: 'Revisions received but not yet durable in the cluster.',
      registers,
    });
    this.reconnects = new Counter({
      name: 'felucca_feed_reconnects_total',
      help: 'Connections of the feed that ended, by reason.',
      labelNames: ['reason'],
      registers,
    });
    this.resyncs = new Counter({
      name: 'felucca_feed_resyncs_total',
      help: 'Snapshots received in full.',
      registers,
    });
    this.propagation = new Histogram({
      name: 'felucca_sync_propagation_seconds',
      help: 'Time a row takes inside the operator: received to applied, applied to Ready.',
      labelNames: ['stage'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
      registers,
    });
    this.reports = new Counter({
      name: 'felucca_reports_total',
      help: 'Reports sent to the control plane, by result.',
      labelNames: ['result'],
      registers,
    });
    this.reportPending = new Gauge({
      name: 'felucca_report_pending',
      help: 'Items that wait for the next report.',
      registers,
    });
    this.heldDeletions = new Gauge({
      name: 'felucca_held_deletions',
      help: 'Deletions that wait for the deletion budget or for a person.',
      registers,
    });
    this.nacks = new Counter({
      name: 'felucca_sync_nacks_total',
      help: 'Rows of the feed that were refused or could not be applied, by code.',
      labelNames: ['code'],
      registers,
    });
    this.refusedRows = new Gauge({
      name: 'felucca_refused_rows',
      help: 'Rows of the feed that are not applied as they are, by code.',
      labelNames: ['code'],
      registers,
    });
    // At 0 from the start: an increase over a series that appears with its first event misses that event.
    for (const code of Object.keys(NACK_CODES)) this.nacks.inc({ code }, 0);
    for (const reason of LOSSES) this.reconnects.inc({ reason }, 0);
  }
}
