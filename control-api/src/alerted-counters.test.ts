import { alertedCounters, unservedCounters } from '@felucca/dev';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createFeedMetrics } from './feed/metrics.ts';
import { createFeedbackMetrics } from './feedback/metrics.ts';
import { createLinkMetrics } from './link/metrics.ts';

test('every counter whose increase is an alert is served before its first event', async () => {
  const registry = new Registry();
  createFeedMetrics(registry);
  createFeedbackMetrics(registry);
  createLinkMetrics(registry);
  const alerted = alertedCounters('felucca-control-plane');
  expect(alerted.length).toBeGreaterThan(4);
  expect(await unservedCounters(alerted, registry)).toEqual([]);
});
