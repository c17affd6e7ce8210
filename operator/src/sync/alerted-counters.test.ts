import { alertedCounters, unservedCounters } from '@felucca/dev';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createReconcilerMetrics } from '../reconcilers/reconciler-metrics.ts';
import { Controller, DONE, RuntimeMetrics } from '../runtime/index.ts';
import { SyncMetrics } from './sync-metrics.ts';

test('every counter whose increase is an alert is served before its first event', async () => {
  const registry = new Registry();
  const metrics = new RuntimeMetrics(registry);
  new Controller({
    name: 'instance',
    log: pino({ level: 'silent' }),
    metrics,
    reconcile: () => Promise.resolve(DONE),
  });
  createReconcilerMetrics(registry);
  new SyncMetrics(registry);
  const alerted = alertedCounters('felucca-operator');
  expect(alerted.length).toBeGreaterThan(6);
  // Watches are of as many kinds as Blueprints name, and this alert is about dozens of restarts.
  const late = (await unservedCounters(alerted, registry)).filter(
    (name) => name !== 'felucca_watch_restarts_total',
  );
  expect(late).toEqual([]);
});
