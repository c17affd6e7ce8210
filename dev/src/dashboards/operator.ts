import type { DashboardSpec, RowSpec } from './grafana.ts';
import { PROCESS_ROW } from './process-row.ts';

const HEALTH: RowSpec = {
  title: 'Health',
  panels: [
    {
      title: 'Connected',
      description: '1 while an operator of this cluster is connected to the control plane.',
      kind: 'stat',
      thresholds: { bad: 1, falling: true },
      queries: [['max(felucca_feed_connected{@})', 'connected']],
    },
    {
      title: 'Leaders',
      description: 'Exactly one of each Lease; shown for the Lease that has the fewest.',
      kind: 'stat',
      thresholds: { bad: 1, falling: true },
      queries: [['min(sum by (name) (leader_election_master_status{@}))', 'leaders']],
    },
    {
      title: 'Instances not ready',
      description: 'For whatever reason; the next row says which.',
      kind: 'stat',
      queries: [
        ['max(sum by (pod) (felucca_objects{@,kind="Instance",ready!="True"})) or vector(0)', 'not ready'],
      ],
    },
    {
      title: 'Deletions held',
      description: 'They wait for the deletion budget or for a person.',
      kind: 'stat',
      thresholds: { bad: 1 },
      queries: [['max(felucca_held_deletions{@})', 'held']],
    },
    {
      title: 'Oldest watch',
      description:
        'Time since the quietest watch said anything. A bookmark comes every minute; above 240 s the operator is not ready.',
      kind: 'stat',
      unit: 's',
      thresholds: { warning: 150, bad: 240 },
      queries: [['max(felucca_watch_age_seconds{@})', 'age']],
    },
    {
      title: 'Reconciles that fail',
      description: 'Share of all reconciles.',
      kind: 'stat',
      unit: 'percentunit',
      thresholds: { warning: 0.05, bad: 0.1 },
      queries: [
        [
          'sum(rate(controller_runtime_reconcile_errors_total{@}[$__rate_interval])) / sum(rate(controller_runtime_reconcile_total{@}[$__rate_interval]))',
          'failing',
        ],
      ],
    },
  ],
};

const OBJECTS: RowSpec = {
  title: 'Objects',
  panels: [
    {
      title: 'Ready',
      description: 'Instances, Tenants and Blueprints that are ready.',
      queries: [['max by (kind) (felucca_objects{@,ready="True"})', '{{kind}}']],
    },
    {
      title: 'Not ready, by reason',
      description: 'What the reasons mean is in docs/operations.md.',
      queries: [['max by (kind, reason) (felucca_objects{@,ready!="True"})', '{{kind}} {{reason}}']],
    },
    {
      title: 'Cached objects',
      description: 'What the watches hold, by kind. Memory grows with it.',
      queries: [['max by (kind) (felucca_watch_objects{@})', '{{kind}}']],
    },
  ],
};

const RECONCILE: RowSpec = {
  title: 'Reconciles',
  panels: [
    {
      title: 'Reconciles',
      description:
        'Per second, by controller and result. Zero when nothing changes, except for the look every ten minutes.',
      unit: 'ops',
      queries: [
        [
          'sum by (controller, result) (rate(controller_runtime_reconcile_total{@}[$__rate_interval]))',
          '{{controller}} {{result}}',
        ],
      ],
    },
    {
      title: 'Failures',
      description: 'In the interval, by controller. Panics and timeouts are never normal.',
      queries: [
        [
          'sum by (controller) (increase(controller_runtime_reconcile_errors_total{@}[$__rate_interval]))',
          '{{controller}} errors',
        ],
        [
          'sum by (controller) (increase(controller_runtime_terminal_reconcile_errors_total{@}[$__rate_interval]))',
          '{{controller}} terminal',
        ],
        [
          'sum by (controller) (increase(controller_runtime_reconcile_panics_total{@}[$__rate_interval]))',
          '{{controller}} panics',
        ],
        [
          'sum by (controller) (increase(controller_runtime_reconcile_timeouts_total{@}[$__rate_interval]))',
          '{{controller}} timeouts',
        ],
      ],
    },
    {
      title: 'Duration',
      description: 'Of one reconcile.',
      unit: 's',
      queries: [
        [
          'histogram_quantile(0.5, sum by (le, controller) (rate(controller_runtime_reconcile_time_seconds_bucket{@}[$__rate_interval])))',
          '{{controller}} p50',
        ],
        [
          'histogram_quantile(0.99, sum by (le, controller) (rate(controller_runtime_reconcile_time_seconds_bucket{@}[$__rate_interval])))',
          '{{controller}} p99',
        ],
      ],
    },
    {
      title: 'Workers',
      description: 'Busy ones of those there are.',
      queries: [
        ['sum by (controller) (controller_runtime_active_workers{@})', '{{controller}} busy'],
        ['max by (controller) (controller_runtime_max_concurrent_reconciles{@})', '{{controller}} of'],
      ],
    },
  ],
};

const QUEUES: RowSpec = {
  title: 'Queues',
  panels: [
    {
      title: 'Depth',
      description: 'Keys that wait, by priority: 10 unfinished, 0 changes, -10 repairs, -100 periodic looks.',
      queries: [['sum by (controller, priority) (workqueue_depth{@})', '{{controller}} {{priority}}']],
    },
    {
      title: 'Wait for a worker',
      description: 'p99, in steps of ten.',
      unit: 's',
      queries: [
        [
          'histogram_quantile(0.99, sum by (le, controller) (rate(workqueue_queue_duration_seconds_bucket{@}[$__rate_interval])))',
          '{{controller}}',
        ],
      ],
    },
    {
      title: 'Work on one key',
      description: 'p99 of what ended, and the longest that still runs.',
      unit: 's',
      queries: [
        [
          'histogram_quantile(0.99, sum by (le, controller) (rate(workqueue_work_duration_seconds_bucket{@}[$__rate_interval])))',
          '{{controller}} p99',
        ],
        ['max by (controller) (workqueue_longest_running_processor_seconds{@})', '{{controller}} longest'],
        ['max by (controller) (workqueue_unfinished_work_seconds{@})', '{{controller}} unfinished'],
      ],
    },
    {
      title: 'Added',
      description: 'Keys added per second, and those added with a delay: backoff, or a wished time.',
      unit: 'ops',
      queries: [
        ['sum by (controller) (rate(workqueue_adds_total{@}[$__rate_interval]))', '{{controller}}'],
        [
          'sum by (controller) (rate(workqueue_retries_total{@}[$__rate_interval]))',
          '{{controller}} delayed',
        ],
      ],
    },
  ],
};

const API_SERVER: RowSpec = {
  title: 'API server',
  panels: [
    {
      title: 'Requests',
      description: 'Per second, by method and code. Nothing but reads of the Lease when nothing changes.',
      unit: 'reqps',
      queries: [
        [
          'sum by (method, code) (rate(rest_client_requests_total{@}[$__rate_interval]))',
          '{{method}} {{code}}',
        ],
      ],
    },
    {
      title: 'Latency',
      description: 'p99 by verb.',
      unit: 's',
      queries: [
        [
          'histogram_quantile(0.99, sum by (le, verb) (rate(rest_client_request_duration_seconds_bucket{@}[$__rate_interval])))',
          '{{verb}}',
        ],
      ],
    },
    {
      title: 'Repeated and refused',
      description: 'Requests sent again, answers with 429, and requests without an answer.',
      unit: 'reqps',
      queries: [
        [
          'sum by (code) (rate(rest_client_request_retries_total{@}[$__rate_interval]))',
          'again after {{code}}',
        ],
        ['sum(rate(rest_client_requests_total{@,code="429"}[$__rate_interval]))', '429'],
        ['sum(rate(rest_client_requests_total{@,code="<error>"}[$__rate_interval]))', 'no answer'],
      ],
    },
    {
      title: 'Leader',
      description: 'Which process leads, and renewals of the Lease that had to read it first.',
      queries: [
        ['leader_election_master_status{@}', '{{pod}} {{name}}'],
        ['sum(increase(leader_election_slowpath_total{@}[$__rate_interval]))', 'slow renewals'],
      ],
    },
    {
      title: 'Events dropped',
      description: 'Kubernetes Events that were not recorded.',
      queries: [['sum(increase(felucca_events_dropped_total{@}[$__rate_interval]))', 'dropped']],
    },
  ],
};

const WATCHES: RowSpec = {
  title: 'Watches',
  panels: [
    {
      title: 'Age',
      description: 'Time since anything was heard of a kind. A sawtooth of one minute is well.',
      unit: 's',
      queries: [['max by (kind) (felucca_watch_age_seconds{@})', '{{kind}}']],
    },
    {
      title: 'Begun again',
      description: 'By kind and reason. `closed` every five to ten minutes is well.',
      queries: [
        [
          'sum by (kind, reason) (increase(felucca_watch_restarts_total{@}[$__rate_interval]))',
          '{{kind}} {{reason}}',
        ],
      ],
    },
    {
      title: 'Events',
      description: 'Per second, by kind.',
      unit: 'ops',
      queries: [['sum by (kind) (rate(felucca_watch_events_total{@}[$__rate_interval]))', '{{kind}}']],
    },
  ],
};

const DRIFT: RowSpec = {
  title: 'Drift',
  panels: [
    {
      title: 'Found',
      description: 'Owned fields or children found to differ, by kind of the child.',
      queries: [['sum by (kind) (increase(felucca_drift_detected_total{@}[$__rate_interval]))', '{{kind}}']],
    },
    {
      title: 'Repaired and put off',
      description: 'Put off: somebody changes a child as often as it is repaired.',
      queries: [
        ['sum(increase(felucca_drift_repaired_total{@}[$__rate_interval]))', 'repaired'],
        ['sum(increase(felucca_drift_repairs_throttled_total{@}[$__rate_interval]))', 'put off'],
      ],
    },
    {
      title: 'Deletions held',
      description: 'They wait for the deletion budget or for a person.',
      queries: [['max(felucca_held_deletions{@})', 'held']],
    },
  ],
};

const LINK: RowSpec = {
  title: 'Link to the control plane',
  panels: [
    {
      title: 'Received to applied',
      description: 'Time a row takes in the operator, by stage.',
      unit: 's',
      queries: [
        [
          'histogram_quantile(0.5, sum by (le, stage) (rate(felucca_sync_propagation_seconds_bucket{@}[$__rate_interval])))',
          '{{stage}} p50',
        ],
        [
          'histogram_quantile(0.99, sum by (le, stage) (rate(felucca_sync_propagation_seconds_bucket{@}[$__rate_interval])))',
          '{{stage}} p99',
        ],
      ],
    },
    {
      title: 'Lag',
      description: 'Revisions received and not yet durable in the cluster.',
      queries: [['max(felucca_feed_lag_revisions{@})', 'revisions']],
    },
    {
      title: 'Connections lost, snapshots',
      description: 'By reason. `drain_rotate` and `drain_shutdown` are planned.',
      queries: [
        ['sum by (reason) (increase(felucca_feed_reconnects_total{@}[$__rate_interval]))', '{{reason}}'],
        ['sum(increase(felucca_feed_resyncs_total{@}[$__rate_interval]))', 'snapshots'],
      ],
    },
    {
      title: 'Rows refused',
      description: 'By code. SignatureInvalid is an alarm.',
      queries: [
        ['sum by (code) (felucca_refused_rows{@}) > 0', '{{code}} now'],
        ['sum by (code) (increase(felucca_sync_nacks_total{@}[$__rate_interval])) > 0', '{{code}} attempts'],
      ],
    },
    {
      title: 'Reports',
      description: 'Sent per second, by result.',
      unit: 'ops',
      queries: [['sum by (result) (rate(felucca_reports_total{@}[$__rate_interval]))', '{{result}}']],
    },
    {
      title: 'Waiting to be reported',
      description: 'Items, one per object.',
      queries: [['max(felucca_report_pending{@})', 'items']],
    },
  ],
};

export const operatorDashboard: DashboardSpec = {
  uid: 'felucca-operator',
  title: 'Felucca / Operator',
  description: 'One cluster: is it well, what is it doing, and what holds it up?',
  probe: 'felucca_objects',
  rows: [HEALTH, OBJECTS, RECONCILE, QUEUES, API_SERVER, WATCHES, DRIFT, LINK, PROCESS_ROW],
};
