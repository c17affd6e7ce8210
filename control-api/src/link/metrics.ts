import { Counter, type Registry } from 'prom-client';

export function createLinkMetrics(registry: Registry) {
  const registers = [registry];
  return {
    requests: new Counter({
      name: 'felucca_link_requests_total',
      help: 'Operator requests by outcome of their credential.',
      labelNames: ['result'] as const,
      registers,
    }),
    joins: new Counter({
      name: 'felucca_link_joins_total',
      help: 'Join attempts by outcome.',
      labelNames: ['result'] as const,
      registers,
    }),
  };
}
export type LinkMetrics = ReturnType<typeof createLinkMetrics>;
