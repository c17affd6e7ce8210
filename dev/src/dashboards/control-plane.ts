import type { DashboardSpec, RowSpec } from './grafana.ts';
import { PROCESS_ROW } from './process-row.ts';

const REQUESTS = 'http_server_request_duration_seconds';
/** Streams of the feed are open for hours. */
const PEOPLE = 'http_route!~"/v1/data-planes/:id/sync|/metrics|/readyz|/healthz"';

const HEALTH: RowSpec = {
  title: 'Health',
  panels: [
    {
      title: 'Requests answered with 5xx',
      description: 'Share of all requests; the objective is in the chart (availabilityPercent).',
      kind: 'stat',
      unit: 'percentunit',
      thresholds: { warning: 0.001, bad: 0.01 },
      queries: [
        [
          `(sum(rate(${REQUESTS}_count{@,http_response_status_code=~"5.."}[$__rate_interval])) or vector(0)) / sum(rate(${REQUESTS}_count{@}[$__rate_interval]))`,
          'failing',
        ],
      ],
    },
    {
      title: 'Applied within 10 s',
      description:
        'Share of the changes that reached their cluster in time, over six hours (propagationPercent).',
      kind: 'stat',
      unit: 'percentunit',
      thresholds: { warning: 0.99, bad: 0.95, falling: true },
      queries: [
        [
          'sum(rate(felucca_propagation_seconds_bucket{@,stage="applied",le=~"10([.]0)?"}[6h])) / sum(rate(felucca_propagation_seconds_count{@,stage="applied"}[6h]))',
          'in time',
        ],
      ],
    },
    {
      title: 'Connected clusters',
      description: 'Operators with an open feed.',
      kind: 'stat',
      queries: [['sum(felucca_feed_streams{@})', 'connected']],
    },
    {
      title: 'Clusters behind',
      description: 'Connected, and not sent everything yet.',
      kind: 'stat',
      thresholds: { bad: 1 },
      queries: [['sum(felucca_feed_behind{@})', 'behind']],
    },
    {
      title: 'Listening',
      description: '1 while notifications of other API processes arrive everywhere.',
      kind: 'stat',
      thresholds: { bad: 1, falling: true },
      queries: [['min(felucca_feed_listening{@})', 'listening']],
    },
    {
      title: 'New epochs in a day',
      description: 'The database went back in time, or is another one.',
      kind: 'stat',
      thresholds: { bad: 1 },
      queries: [['sum(increase(felucca_feed_epochs_total{@}[1d]))', 'epochs']],
    },
  ],
};

const API: RowSpec = {
  title: 'Requests',
  panels: [
    {
      title: 'Requests',
      description: 'Per second, by status.',
      unit: 'reqps',
      queries: [
        [
          `sum by (http_response_status_code) (rate(${REQUESTS}_count{@,${PEOPLE}}[$__rate_interval]))`,
          '{{http_response_status_code}}',
        ],
      ],
    },
    {
      title: 'Duration',
      description: 'Streams of the feed are not among them; requests with `Prefer: wait` are.',
      unit: 's',
      queries: [
        [
          `histogram_quantile(0.5, sum by (le) (rate(${REQUESTS}_bucket{@,${PEOPLE}}[$__rate_interval])))`,
          'p50',
        ],
        [
          `histogram_quantile(0.99, sum by (le) (rate(${REQUESTS}_bucket{@,${PEOPLE}}[$__rate_interval])))`,
          'p99',
        ],
      ],
    },
    {
      title: 'Slowest routes',
      description: 'p99 of the five slowest.',
      unit: 's',
      queries: [
        [
          `topk(5, histogram_quantile(0.99, sum by (le, http_request_method, http_route) (rate(${REQUESTS}_bucket{@,${PEOPLE}}[$__rate_interval]))))`,
          '{{http_request_method}} {{http_route}}',
        ],
      ],
    },
    {
      title: 'Errors by route',
      description: 'Answers with 5xx.',
      queries: [
        [
          `sum by (http_route, http_response_status_code) (increase(${REQUESTS}_count{@,http_response_status_code=~"5.."}[$__rate_interval])) > 0`,
          '{{http_route}} {{http_response_status_code}}',
        ],
      ],
    },
  ],
};

const PROPAGATION: RowSpec = {
  title: 'From acceptance to the cluster',
  panels: [
    {
      title: 'p50 by stage',
      description: 'Delivered to the operator, applied in the cluster, ready.',
      unit: 's',
      queries: [
        [
          'histogram_quantile(0.5, sum by (le, stage) (rate(felucca_propagation_seconds_bucket{@}[$__rate_interval])))',
          '{{stage}}',
        ],
      ],
    },
    {
      title: 'p99 by stage',
      description: 'Only `applied` late: look at the cluster. `delivered` late: look at the feed.',
      unit: 's',
      queries: [
        [
          'histogram_quantile(0.99, sum by (le, stage) (rate(felucca_propagation_seconds_bucket{@}[$__rate_interval])))',
          '{{stage}}',
        ],
      ],
    },
    {
      title: 'Commit to socket',
      description: 'The feed’s own part.',
      unit: 's',
      queries: [
        [
          'histogram_quantile(0.5, sum by (le) (rate(felucca_feed_delivery_seconds_bucket{@}[$__rate_interval])))',
          'p50',
        ],
        [
          'histogram_quantile(0.99, sum by (le) (rate(felucca_feed_delivery_seconds_bucket{@}[$__rate_interval])))',
          'p99',
        ],
      ],
    },
  ],
};

const FEED: RowSpec = {
  title: 'Feed',
  panels: [
    {
      title: 'Connected operators',
      description: 'By transport. A step down is a cluster lost.',
      queries: [['sum by (transport) (felucca_feed_streams{@})', '{{transport}}']],
    },
    {
      title: 'Lag',
      description: 'Revisions not sent yet to the operator furthest behind.',
      queries: [['max(felucca_feed_lag{@})', 'revisions']],
    },
    {
      title: 'Rows sent',
      description: 'Per second, by frame. Snapshots after a restart of operators are normal.',
      unit: 'ops',
      queries: [['sum by (frame) (rate(felucca_feed_rows_total{@}[$__rate_interval]))', '{{frame}}']],
    },
    {
      title: 'Why it looked',
      description: '`poll` means that a notification was lost.',
      queries: [['sum by (source) (increase(felucca_feed_wakes_total{@}[$__rate_interval]))', '{{source}}']],
    },
    {
      title: 'Connections',
      description:
        'How sync requests were answered, streams ended on purpose, and why snapshots were needed.',
      queries: [
        ['sum by (result) (increase(felucca_feed_hellos_total{@}[$__rate_interval]))', '{{result}}'],
        ['sum by (reason) (increase(felucca_feed_drains_total{@}[$__rate_interval]))', 'drain: {{reason}}'],
        [
          'sum by (reason) (increase(felucca_feed_resyncs_total{@}[$__rate_interval]))',
          'snapshot: {{reason}}',
        ],
      ],
    },
    {
      title: 'Failed work',
      description: 'Database work of the feed, by task. It is tried again.',
      queries: [['sum by (task) (increase(felucca_feed_errors_total{@}[$__rate_interval]))', '{{task}}']],
    },
  ],
};

const REPORTS: RowSpec = {
  title: 'Reports and credentials',
  panels: [
    {
      title: 'Reports',
      description: 'Per second, by outcome, with their items.',
      unit: 'ops',
      queries: [
        ['sum by (result) (rate(felucca_reports_total{@}[$__rate_interval]))', '{{result}}'],
        ['sum by (result) (rate(felucca_report_items_total{@}[$__rate_interval]))', 'items {{result}}'],
      ],
    },
    {
      title: 'Time to store a report',
      description: 'p99.',
      unit: 's',
      queries: [
        [
          'histogram_quantile(0.99, sum by (le) (rate(felucca_report_seconds_bucket{@}[$__rate_interval])))',
          'p99',
        ],
      ],
    },
    {
      title: 'Refused',
      description: 'Requests of operators by outcome of their credential, and joins.',
      queries: [
        [
          'sum by (result) (increase(felucca_link_requests_total{@,result!="accepted"}[$__rate_interval]))',
          '{{result}}',
        ],
        ['sum by (result) (increase(felucca_link_joins_total{@}[$__rate_interval]))', 'join {{result}}'],
      ],
    },
  ],
};

const DATABASE: RowSpec = {
  title: 'Database',
  panels: [
    {
      title: 'Connections',
      description: 'By pool and state, of at most.',
      queries: [
        [
          'sum by (db_client_connection_pool_name, db_client_connection_state) (db_client_connection_count{@})',
          '{{db_client_connection_pool_name}} {{db_client_connection_state}}',
        ],
        [
          'sum by (db_client_connection_pool_name) (db_client_connection_max{@})',
          '{{db_client_connection_pool_name}} max',
        ],
      ],
    },
    {
      title: 'Waiting for a connection',
      description: 'Requests. Anything for long: FeluccaDatabasePoolExhausted.',
      queries: [
        [
          'max by (db_client_connection_pool_name) (db_client_connection_pending_requests{@})',
          '{{db_client_connection_pool_name}}',
        ],
      ],
    },
    {
      title: 'Held deletions',
      description: 'Beyond the budget of their data plane; each waits for a person: FeluccaDeletionsHeld.',
      queries: [['max(felucca_feed_held_deletions{@})', 'held']],
    },
    {
      title: 'Rows removed',
      description: 'At the end of their retention, by table; tombstones are compacted.',
      queries: [
        ['sum by (table) (increase(felucca_swept_rows_total{@}[$__rate_interval]))', '{{table}}'],
        ['sum(increase(felucca_feed_compacted_rows_total{@}[$__rate_interval]))', 'tombstones'],
      ],
    },
  ],
};

export const controlPlaneDashboard: DashboardSpec = {
  uid: 'felucca-control-plane',
  title: 'Felucca / Control plane',
  description: 'API, feed and reports of all clusters: are people served, and do orders arrive?',
  probe: 'felucca_feed_listening',
  rows: [HEALTH, API, PROPAGATION, FEED, REPORTS, DATABASE, PROCESS_ROW],
};
