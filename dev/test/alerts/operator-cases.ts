import type { AlertCase } from './case.ts';

const LINK: AlertCase[] = [
  {
    alert: 'FeluccaFeedDisconnected',
    fires: { 'felucca_feed_connected{pod="a"}': '0x20', 'felucca_feed_connected{pod="b"}': '0x20' },
    quiet: { 'felucca_feed_connected{pod="a"}': '0x20', 'felucca_feed_connected{pod="b"}': '1x20' },
    at: '15m',
    says: 'For 10 minutes orders, changes and deletions have not arrived here, and status has not gone back. What runs keeps running.',
  },
  {
    alert: 'FeluccaFeedFlapping',
    fires: { 'felucca_feed_reconnects_total{reason="network"}': '0+1x100' },
    quiet: { 'felucca_feed_reconnects_total{reason="drain_rotate"}': '0+1x100' },
    at: '90m',
    says: 'It was lost 60 times in an hour. Each time changes arrive seconds late.',
  },
  {
    alert: 'FeluccaFeedStuck',
    fires: { felucca_feed_lag_revisions: '3x60' },
    quiet: { felucca_feed_lag_revisions: '3x10 0 3x10 0 3x10 0 3x10 0 3x10' },
    at: '40m',
    says: 'For half an hour there have been at least 3 revisions that are not applied. A restart would fetch them again, and be stuck again.',
  },
  {
    alert: 'FeluccaApplySlow',
    fires: {
      'felucca_sync_propagation_seconds_bucket{stage="apply",le="5"}': '0+1x60',
      'felucca_sync_propagation_seconds_bucket{stage="apply",le="10"}': '0+10x60',
      'felucca_sync_propagation_seconds_bucket{stage="apply",le="+Inf"}': '0+10x60',
    },
    quiet: {
      'felucca_sync_propagation_seconds_bucket{stage="apply",le="5"}': '0+10x60',
      'felucca_sync_propagation_seconds_bucket{stage="apply",le="10"}': '0+10x60',
      'felucca_sync_propagation_seconds_bucket{stage="apply",le="+Inf"}': '0+10x60',
    },
    at: '40m',
    says: 'One row in a hundred takes longer than 9.944s from its arrival to its object.',
  },
  {
    alert: 'FeluccaDeletionsHeld',
    fires: { felucca_held_deletions: '12x30' },
    quiet: { felucca_held_deletions: '12x10 0x20' },
    at: '20m',
    says: '12 deletions exceed the deletion budget. Everything that is to be deleted still runs.',
  },
  {
    alert: 'FeluccaSignatureRefused',
    fires: { 'felucca_sync_nacks_total{code="SignatureInvalid"}': '0x5 1x10' },
    quiet: { 'felucca_sync_nacks_total{code="NameConflict"}': '0x5 1x10' },
    at: '8m',
    labels: { code: 'SignatureInvalid' },
    says: 'Rows are refused, or were in the last 15 minutes (SignatureInvalid). Somebody else may be writing to the database, or a signing key was changed.',
  },
  {
    // Told once, and refused ever since.
    alert: 'FeluccaSignatureRefused',
    fires: {
      'felucca_sync_nacks_total{code="DigestMismatch"}': '1x60',
      'felucca_refused_rows{code="DigestMismatch"}': '1x60',
    },
    quiet: { 'felucca_refused_rows{code="DigestMismatch"}': '1x10 0x50' },
    at: '50m',
    labels: { code: 'DigestMismatch' },
    says: 'Rows are refused, or were in the last 15 minutes (DigestMismatch). Somebody else may be writing to the database, or a signing key was changed.',
  },
  {
    alert: 'FeluccaRowsRefused',
    fires: { 'felucca_refused_rows{code="IdMismatch"}': '2x60' },
    quiet: { 'felucca_refused_rows{code="IdMismatch"}': '2x20 0 2x20' },
    at: '40m',
    labels: { code: 'IdMismatch' },
    says: '2 rows have been refused for half an hour (IdMismatch). What they describe is not as ordered; everything else goes on.',
  },
  {
    alert: 'FeluccaReportBacklog',
    fires: { felucca_report_pending: '900x40' },
    quiet: { felucca_report_pending: '900x8 3 900x8 3 900x8 3 900x8' },
    at: '25m',
    says: 'At least 900 items have been waiting for 10 minutes. Tenants see an older state than there is.',
  },
];

const RECONCILE: AlertCase[] = [
  {
    alert: 'FeluccaReconcileErrors',
    fires: {
      'controller_runtime_reconcile_errors_total{controller="instance"}': '0+20x60',
      'controller_runtime_reconcile_total{controller="instance",result="error"}': '0+20x60',
      'controller_runtime_reconcile_total{controller="instance",result="success"}': '0+80x60',
    },
    quiet: {
      'controller_runtime_reconcile_errors_total{controller="instance"}': '0+1x60',
      'controller_runtime_reconcile_total{controller="instance",result="error"}': '0+1x60',
      'controller_runtime_reconcile_total{controller="instance",result="success"}': '0+99x60',
    },
    at: '40m',
    labels: { controller: 'instance' },
    says: '20% of the reconciles of instance fail. Each is tried again; what they are about may not be as desired.',
  },
  {
    alert: 'FeluccaReconcileTerminalErrors',
    fires: { 'controller_runtime_terminal_reconcile_errors_total{controller="instance"}': '0+1x120' },
    quiet: { 'controller_runtime_terminal_reconcile_errors_total{controller="instance"}': '5x120' },
    at: '90m',
    labels: { controller: 'instance' },
    says: '60 reconciles of instance ended so in an hour. A Blueprint or what writes the objects may be wrong.',
  },
  {
    alert: 'FeluccaReconcilePanics',
    fires: { 'controller_runtime_reconcile_panics_total{controller="instance"}': '0x5 1x20' },
    quiet: { 'controller_runtime_reconcile_panics_total{controller="instance"}': '4x25' },
    at: '10m',
    labels: { controller: 'instance' },
    says: '1 reconciles of instance ended in a programming error in 15 minutes. Other objects are not touched by it.',
  },
  {
    alert: 'FeluccaReconcileTimeouts',
    fires: { 'controller_runtime_reconcile_timeouts_total{controller="instance"}': '0+1x60' },
    quiet: { 'controller_runtime_reconcile_timeouts_total{controller="instance"}': '7x60' },
    at: '30m',
    labels: { controller: 'instance' },
    says: '15 of instance in 15 minutes. They wait for answers of the API server or of a webhook behind it.',
  },
  {
    alert: 'FeluccaWorkerStuck',
    fires: { 'workqueue_longest_running_processor_seconds{controller="instance"}': '0+60x20' },
    quiet: { 'workqueue_longest_running_processor_seconds{controller="instance"}': '20x20' },
    at: '10m',
    labels: { controller: 'instance' },
    says: 'A reconcile of instance has been running for 10m 0s. Its object gets no other turn until it ends.',
  },
  {
    alert: 'FeluccaQueueSlow',
    fires: {
      'workqueue_queue_duration_seconds_bucket{controller="instance",le="10.0"}': '0+75x60',
      'workqueue_queue_duration_seconds_count{controller="instance"}': '0+100x60',
    },
    quiet: {
      'workqueue_queue_duration_seconds_bucket{controller="instance",le="10"}': '0+99x60',
      'workqueue_queue_duration_seconds_count{controller="instance"}': '0+100x60',
    },
    at: '40m',
    labels: { controller: 'instance' },
    says: '25% of the keys of instance wait longer than 10 s for a worker.',
  },
  {
    alert: 'FeluccaQueueDeep',
    fires: {
      'workqueue_depth{controller="instance",priority="0"}': '800x40',
      'workqueue_depth{controller="instance",priority="-100"}': '800x40',
    },
    quiet: {
      'workqueue_depth{controller="instance",priority="0"}': '800x40',
      'workqueue_depth{controller="instance",priority="-100"}': '800x10 0 800x10 0 800x10 0',
    },
    at: '25m',
    labels: { controller: 'instance' },
    says: 'At least 1600 keys of instance have been waiting for 15 minutes.',
  },
  {
    alert: 'FeluccaWorkersSaturated',
    fires: {
      'controller_runtime_active_workers{controller="instance"}': '8x60',
      'controller_runtime_max_concurrent_reconciles{controller="instance"}': '8x60',
    },
    quiet: {
      'controller_runtime_active_workers{controller="instance"}': '8x5 2x5 8x5 2x5 8x5 2x5 8x5 2x5 8x5 2x5',
      'controller_runtime_max_concurrent_reconciles{controller="instance"}': '8x60',
    },
    at: '40m',
    labels: { controller: 'instance' },
    says: 'The workers of instance are busy 100% of the time. New orders wait behind what is worked on.',
  },
  {
    alert: 'FeluccaObjectsStalled',
    fires: { 'felucca_objects{kind="Instance",ready="False",reason="NameConflict"}': '2x90' },
    quiet: {
      'felucca_objects{kind="Instance",ready="False",reason="ChildrenProgressing"}': '2x90',
      'felucca_objects{kind="Instance",ready="True",reason="AllChildrenReady"}': '9x90',
    },
    at: '70m',
    labels: { kind: 'Instance', reason: 'NameConflict' },
    says: '2 objects of kind Instance have been NameConflict for an hour.',
  },
  {
    alert: 'FeluccaDriftFight',
    fires: { felucca_drift_repairs_throttled_total: '0+1x90' },
    quiet: { felucca_drift_repairs_throttled_total: '0+1x20 20x90' },
    at: '60m',
    says: '15 repairs were put off in 15 minutes. The objects are not as they should be, and both sides load the API server.',
  },
];

const CLUSTER: AlertCase[] = [
  {
    alert: 'FeluccaOperatorDown',
    fires: { 'up{pod="a"}': '1x3 0x20' },
    quiet: { 'up{pod="a"}': '1x3 0x20', 'up{pod="b"}': '1x20' },
    at: '12m',
    says: 'Workloads run on, but nobody corrects drift, applies orders or reports.',
  },
  {
    alert: 'FeluccaNoLeader',
    fires: {
      'leader_election_master_status{pod="a",name="left"}': '1x20',
      'leader_election_master_status{pod="a",name="right"}': '0x20',
      'leader_election_master_status{pod="b",name="right"}': '0x20',
    },
    quiet: {
      'leader_election_master_status{pod="a",name="right"}': '0x20',
      'leader_election_master_status{pod="b",name="right"}': '1x20',
    },
    at: '6m',
    labels: { name: 'right' },
    says: 'For 3 minutes nobody has held the Lease right, so nothing of it was reconciled, applied or reported. Workloads run on.',
  },
  {
    alert: 'FeluccaTwoLeaders',
    fires: {
      'leader_election_master_status{pod="a",name="right"}': '1x20',
      'leader_election_master_status{pod="b",name="right"}': '1x20',
    },
    // One each of two shards.
    quiet: {
      'leader_election_master_status{pod="a",name="right"}': '1x20',
      'leader_election_master_status{pod="b",name="right"}': '0x20',
      'leader_election_master_status{pod="b",name="left"}': '1x20',
    },
    at: '6m',
    labels: { name: 'right' },
    says: "2 hold the Lease right. The fencing term keeps the older one's writes out where the chart's admission policies are installed.",
  },
  {
    alert: 'FeluccaLeaderFlapping',
    fires: { 'leader_election_master_status{pod="a"}': '0 1 0 1 0 1 0 1 0 1x60' },
    quiet: { 'leader_election_master_status{pod="a"}': '0 1x60' },
    at: '20m',
    says: '9 changes in an hour. Each costs seconds without a leader and a read of everything.',
  },
  {
    alert: 'FeluccaWatchStale',
    fires: { 'felucca_watch_age_seconds{kind="Instance"}': '0+60x20' },
    quiet: { 'felucca_watch_age_seconds{kind="Instance"}': '30x20' },
    at: '10m',
    labels: { kind: 'Instance' },
    says: 'Nothing has been heard of Instance for 10m 0s. Changes of it are not seen.',
  },
  {
    alert: 'FeluccaWatchRestarts',
    fires: { 'felucca_watch_restarts_total{kind="Pod",reason="error"}': '0+2x60' },
    quiet: { 'felucca_watch_restarts_total{kind="Pod",reason="closed"}': '0+2x60' },
    at: '40m',
    labels: { kind: 'Pod', reason: 'error' },
    says: 'The watch of Pod began anew 30 times in 15 minutes (error).',
  },
  {
    alert: 'FeluccaApiServerErrors',
    fires: {
      'rest_client_requests_total{code="503",method="PATCH"}': '0+5x40',
      'rest_client_requests_total{code="<error>",method="GET"}': '0+5x40',
      'rest_client_requests_total{code="200",method="GET"}': '0+90x40',
    },
    quiet: {
      'rest_client_requests_total{code="409",method="PATCH"}': '0+10x40',
      'rest_client_requests_total{code="200",method="GET"}': '0+90x40',
    },
    at: '30m',
    says: "10% of the operator's requests fail or get no answer. They are repeated.",
  },
  {
    alert: 'FeluccaApiServerThrottles',
    fires: { 'rest_client_requests_total{code="429",method="PATCH"}': '0+60x40' },
    quiet: { 'rest_client_requests_total{code="429",method="PATCH"}': '0+1x40' },
    at: '30m',
    says: '1.00 requests a second are answered with 429. The operator waits as asked, so everything takes longer.',
  },
  {
    alert: 'FeluccaEventsDropped',
    fires: { felucca_events_dropped_total: '0+5x60' },
    quiet: { felucca_events_dropped_total: '0x30 5x30' },
    at: '40m',
    says: '75 were dropped in 15 minutes: too many about one object, or the API server refuses them. kubectl describe shows less than happened.',
  },
];

export const processCases = (job: string): AlertCase[] => [
  {
    alert: 'FeluccaMemoryHigh',
    fires: { 'process_resident_memory_bytes{pod="a",instance="10.0.0.1:8080"}': '471859200x30' },
    quiet: { 'process_resident_memory_bytes{pod="a",instance="10.0.0.1:8080"}': '314572800x30' },
    at: '20m',
    labels: { job, pod: 'a', instance: '10.0.0.1:8080' },
    says: `10.0.0.1:8080 (${job}) has used 450MiB for 15 minutes. Beyond its limit it is killed and starts again.`,
  },
  {
    alert: 'FeluccaEventLoopLag',
    fires: { 'nodejs_eventloop_lag_p99_seconds{pod="a",instance="10.0.0.1:8080"}': '1.5x30' },
    quiet: { 'nodejs_eventloop_lag_p99_seconds{pod="a",instance="10.0.0.1:8080"}': '0.02x30' },
    at: '20m',
    labels: { job, pod: 'a', instance: '10.0.0.1:8080' },
    says: `In 10.0.0.1:8080 (${job}) timers come up to 1.5s late. Probes, requests and lease renewals are late too.`,
  },
  {
    alert: 'FeluccaRestarting',
    fires: { 'process_start_time_seconds{pod="a",instance="10.0.0.1:8080"}': '0+60x5 300x20' },
    quiet: { 'process_start_time_seconds{pod="a",instance="10.0.0.1:8080"}': '0+60x2 120x20' },
    at: '10m',
    labels: { job, pod: 'a', instance: '10.0.0.1:8080' },
    says: `10.0.0.1:8080 (${job}) started 5 times in an hour.`,
  },
  {
    alert: 'FeluccaBuildMismatch',
    fires: {
      'felucca_build_info{version="0.1.0",pod="a"}': '1x90',
      'felucca_build_info{version="0.2.0",pod="b"}': '1x90',
    },
    quiet: {
      'felucca_build_info{version="0.2.0",pod="a"}': '1x90',
      'felucca_build_info{version="0.2.0",pod="b"}': '1x90',
    },
    at: '80m',
    says: '2 versions. A rollout got stuck, or a second installation runs.',
  },
];

export const operatorCases = [...LINK, ...RECONCILE, ...CLUSTER, ...processCases('felucca-operator-metrics')];
