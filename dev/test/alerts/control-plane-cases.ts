import type { AlertCase } from './case.ts';
import { processCases } from './operator-cases.ts';

const requests = (ok: number, failed: number, minutes: number) => ({
  'http_server_request_duration_seconds_count{http_route="/v1/x",http_response_status_code="200"}': `0+${ok}x${minutes}`,
  'http_server_request_duration_seconds_count{http_route="/v1/x",http_response_status_code="503"}': `0+${failed}x${minutes}`,
});
const applied = (inTime: number, all: number, minutes: number) => ({
  'felucca_propagation_seconds_bucket{stage="applied",le="10.0"}': `0+${inTime}x${minutes}`,
  'felucca_propagation_seconds_count{stage="applied"}': `0+${all}x${minutes}`,
});
/** The three days of the slowest budget are looked at every ten minutes. */
const THREE_DAYS = { at: '79h', every: '10m', labels: { window: '3d' } };
const burns = (window: string, minutes: number) => ({ at: `${minutes - 5}m`, labels: { window } });

const API: AlertCase[] = [
  {
    alert: 'FeluccaApiDown',
    fires: { 'up{pod="a"}': '1x3 0x20' },
    quiet: { 'up{pod="a"}': '1x30' },
    at: '10m',
    says: 'Nothing can be ordered, changed or looked at. Clusters work on with what they have.',
  },
  {
    alert: 'FeluccaApiErrorBudgetBurn',
    fires: requests(97, 3, 90),
    quiet: {
      'http_server_request_duration_seconds_count{http_route="/v1/x",http_response_status_code="200"}':
        '0+97x90',
      'http_server_request_duration_seconds_count{http_route="/v1/x",http_response_status_code="503"}':
        '0+10x60 600x30',
    },
    ...burns('1h', 90),
    says: '3% of the requests of the last 1h were answered with 5xx: 14.4 times what the objective allows for.',
  },
  {
    alert: 'FeluccaApiErrorBudgetBurn',
    fires: requests(99, 1, 500),
    quiet: requests(9_980, 20, 500),
    ...burns('6h', 500),
    says: '1% of the requests of the last 6h were answered with 5xx: 6 times what the objective allows for.',
  },
  {
    alert: 'FeluccaApiErrorBudgetBurn',
    fires: requests(9_980, 20, 480),
    quiet: requests(99_995, 5, 480),
    ...THREE_DAYS,
    says: '0.2% of the requests of the last 3d were answered with 5xx: 1 times what the objective allows for.',
  },
  {
    alert: 'FeluccaApiSlow',
    fires: {
      'http_server_request_duration_seconds_bucket{http_route="/v1/x",le="1.0"}': '0+90x60',
      'http_server_request_duration_seconds_bucket{http_route="/v1/x",le="2.5"}': '0+100x60',
      'http_server_request_duration_seconds_bucket{http_route="/v1/x",le="+Inf"}': '0+100x60',
    },
    quiet: {
      'http_server_request_duration_seconds_bucket{http_route="/v1/data-planes/:id/sync",le="1.0"}':
        '0+90x60',
      'http_server_request_duration_seconds_bucket{http_route="/v1/data-planes/:id/sync",le="2.5"}':
        '0+100x60',
      'http_server_request_duration_seconds_bucket{http_route="/v1/data-planes/:id/sync",le="+Inf"}':
        '0+100x60',
    },
    at: '40m',
    says: 'One request in a hundred takes longer than 2.35s.',
  },
  {
    alert: 'FeluccaDatabasePoolExhausted',
    fires: { 'db_client_connection_pending_requests{db_client_connection_pool_name="app"}': '7x30' },
    quiet: {
      'db_client_connection_pending_requests{db_client_connection_pool_name="app"}':
        '7x3 0 7x3 0 7x3 0 7x3 0 7x3 0',
    },
    at: '15m',
    labels: { db_client_connection_pool_name: 'app' },
    says: 'For 10 minutes at least 7 have been waiting for pool app at any time. After 5 s each is refused with 503.',
  },
];

const FEED: AlertCase[] = [
  {
    alert: 'FeluccaPropagationBudgetBurn',
    fires: applied(75, 100, 90),
    quiet: applied(95, 100, 90),
    ...burns('1h', 90),
    says: '25% of the changes of the last 1h took longer than 10 s from acceptance to the cluster: 14.4 times what the objective allows for.',
  },
  {
    alert: 'FeluccaPropagationBudgetBurn',
    fires: applied(75, 100, 500),
    quiet: applied(97, 100, 500),
    ...burns('6h', 500),
    says: '25% of the changes of the last 6h took longer than 10 s from acceptance to the cluster: 6 times what the objective allows for.',
  },
  {
    alert: 'FeluccaPropagationBudgetBurn',
    fires: applied(75, 100, 480),
    quiet: applied(1_000, 1_000, 480),
    ...THREE_DAYS,
    says: '25% of the changes of the last 3d took longer than 10 s from acceptance to the cluster: 1 times what the objective allows for.',
  },
  {
    alert: 'FeluccaFeedBehind',
    fires: { felucca_feed_behind: '2x40' },
    quiet: { felucca_feed_behind: '2x5 0 2x5 0 2x5 0 2x5 0 2x5' },
    at: '25m',
    says: 'At least 2 have been behind for 10 minutes. Their connection does not take more, or the feed cannot read.',
  },
  {
    alert: 'FeluccaFeedNotListening',
    fires: { 'felucca_feed_listening{pod="a"}': '1x20', 'felucca_feed_listening{pod="b"}': '0x20' },
    quiet: { 'felucca_feed_listening{pod="a"}': '1x20', 'felucca_feed_listening{pod="b"}': '0x3 1x20' },
    at: '10m',
    says: 'Changes made through another replica reach operators with the safety poll, up to 10 s late. None is lost.',
  },
  {
    alert: 'FeluccaFeedErrors',
    fires: { 'felucca_feed_errors_total{task="delta"}': '0+1x60' },
    quiet: { 'felucca_feed_errors_total{task="delta"}': '0 1x60' },
    at: '40m',
    labels: { task: 'delta' },
    says: 'Task delta failed 15 times in 15 minutes. It is tried again.',
  },
  {
    alert: 'FeluccaNewEpoch',
    fires: { 'felucca_feed_epochs_total{reason="cursor_ahead"}': '0x5 3x30' },
    quiet: { 'felucca_feed_epochs_total{reason="cursor_ahead"}': '3x30' },
    at: '8m',
    labels: { reason: 'cursor_ahead' },
    says: '3 data planes got a new epoch (cursor_ahead). Nothing is deleted in clusters until they have been compared; what the database no longer knows is reported as unknown.',
  },
  {
    alert: 'FeluccaDeletionsHeld',
    fires: { 'felucca_feed_held_deletions{pod="a"}': '7x30', 'felucca_feed_held_deletions{pod="b"}': '7x30' },
    quiet: { 'felucca_feed_held_deletions{pod="a"}': '7x10 0x20' },
    at: '20m',
    says: '7 deletions exceed the budget of their data plane. Everything that is to be deleted still runs.',
  },
  {
    alert: 'FeluccaDataPlaneLost',
    fires: { 'felucca_feed_streams{transport="stream",pod="a"}': '5x20 4x60' },
    quiet: {
      'felucca_feed_streams{transport="stream",pod="a"}': '5x20 0x60',
      'felucca_feed_streams{transport="stream",pod="b"}': '0x20 5x60',
    },
    at: '50m',
    says: '4 are connected. In 6 hours there were more at a time; each that is missing gets no orders and reports nothing.',
  },
  {
    alert: 'FeluccaOperatorsRefused',
    fires: { 'felucca_link_requests_total{result="bad_time"}': '0+4x40' },
    quiet: { 'felucca_link_requests_total{result="accepted"}': '0+400x40' },
    at: '30m',
    labels: { result: 'bad_time' },
    says: '60 in 15 minutes (bad_time). A clock is wrong, a key was revoked, or somebody tries.',
  },
  {
    alert: 'FeluccaJoinsRefused',
    fires: { 'felucca_link_joins_total{result="refused"}': '0+4x40' },
    quiet: { 'felucca_link_joins_total{result="joined"}': '0+4x40' },
    at: '30m',
    labels: { result: 'refused' },
    says: '60 attempts in 15 minutes (refused).',
  },
  {
    alert: 'FeluccaReportsFailing',
    fires: { 'felucca_reports_total{result="failed"}': '0+1x40' },
    quiet: { 'felucca_reports_total{result="accepted"}': '0+100x40' },
    at: '35m',
    labels: { result: 'failed' },
    says: '15 in 15 minutes (failed). Tenants see an older state than there is; operators send it again.',
  },
];

export const controlPlaneCases = [...API, ...FEED, ...processCases('felucca-control-api')];
