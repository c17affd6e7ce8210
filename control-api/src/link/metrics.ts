import { Counter, type Registry } from 'prom-client';

/** Why a credential was refused; the answer says only that it was. */
export const REFUSALS = [
  'no_credential',
  'bad_header',
  'unknown_key',
  'bad_signature',
  'bad_claims',
  'bad_issuer',
  'other_request',
  'bad_time',
  'replayed',
] as const;
export type Refusal = (typeof REFUSALS)[number];

export function createLinkMetrics(registry: Registry) {
  const registers = [registry];
  const metrics = {
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
  // At 0 from the start: an increase over a series that appears with its first event misses that event.
  for (const result of REFUSALS) metrics.requests.inc({ result }, 0);
  for (const result of ['refused', 'revoked_key']) metrics.joins.inc({ result }, 0);
  return metrics;
}
export type LinkMetrics = ReturnType<typeof createLinkMetrics>;
