import { Counter, Histogram, type Registry } from 'prom-client';

export function createFeedbackMetrics(registry: Registry) {
  const registers = [registry];
  const metrics = {
    reports: new Counter({
      name: 'felucca_reports_total',
      help: 'Reports of operators, by outcome.',
      labelNames: ['result'] as const,
      registers,
    }),
    items: new Counter({
      name: 'felucca_report_items_total',
      help: 'Items of accepted reports, by outcome.',
      labelNames: ['result'] as const,
      registers,
    }),
    duration: new Histogram({
      name: 'felucca_report_seconds',
      help: 'Time to store one report.',
      buckets: [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
      registers,
    }),
    propagation: new Histogram({
      name: 'felucca_propagation_seconds',
      help: 'From the acceptance of a mutation to the stage its data plane reported.',
      labelNames: ['stage'] as const,
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900],
      registers,
    }),
  };
  // At 0 from the start: an increase over a series that appears with its first event misses that event.
  for (const result of ['invalid', 'failed']) metrics.reports.inc({ result }, 0);
  return metrics;
}
export type FeedbackMetrics = ReturnType<typeof createFeedbackMetrics>;
