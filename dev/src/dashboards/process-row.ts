import type { RowSpec } from './grafana.ts';

/** What every Node program tells of itself. */
export const PROCESS_ROW: RowSpec = {
  title: 'Processes',
  panels: [
    {
      title: 'Memory',
      description: 'Resident memory of each process. FeluccaMemoryHigh fires at 80 % of the limit.',
      unit: 'bytes',
      queries: [
        ['process_resident_memory_bytes{@}', '{{pod}}'],
        ['nodejs_heap_size_used_bytes{@}', '{{pod}} heap'],
      ],
    },
    {
      title: 'CPU',
      description: 'Cores used. One is the most that the event loop can use.',
      queries: [['rate(process_cpu_seconds_total{@}[$__rate_interval])', '{{pod}}']],
    },
    {
      title: 'Event-loop lag',
      description: 'How late timers come. Above half a second probes and renewals of the Lease are late too.',
      unit: 's',
      queries: [
        ['nodejs_eventloop_lag_p99_seconds{@}', '{{pod}} p99'],
        ['nodejs_eventloop_lag_mean_seconds{@}', '{{pod}} mean'],
      ],
    },
    {
      title: 'Garbage collection',
      description: 'Share of the time spent in it.',
      unit: 'percentunit',
      queries: [['sum by (pod) (rate(nodejs_gc_duration_seconds_sum{@}[$__rate_interval]))', '{{pod}}']],
    },
    {
      title: 'Starts',
      description: 'Starts of each process in an hour.',
      queries: [['changes(process_start_time_seconds{@}[1h])', '{{pod}}']],
    },
    {
      title: 'Builds',
      description: 'Versions that run. Two for long: a rollout got stuck.',
      queries: [['count by (version) (felucca_build_info{@})', '{{version}}']],
    },
  ],
};
