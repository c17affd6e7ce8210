import { Counter, type Registry } from 'prom-client';
import type { ReconcilerMetrics } from './instance/context.ts';

export function createReconcilerMetrics(registry: Registry): ReconcilerMetrics {
  const registers = [registry];
  const detected = new Counter({
    name: 'felucca_drift_detected_total',
    help: 'Owned fields or children found to differ from what is desired, by kind of the child.',
    labelNames: ['kind'],
    registers,
  });
  const repaired = new Counter({
    name: 'felucca_drift_repaired_total',
    help: 'Children set back to what is desired.',
    registers,
  });
  return {
    driftDetected: (kind) => detected.inc({ kind }),
    driftRepaired: () => repaired.inc(),
  };
}
