import type { Condition, KubeObject } from '@felucca/contract';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Store } from '../runtime/store.ts';
import type { ReconcilerMetrics } from './instance/context.ts';

export function createReconcilerMetrics(registry: Registry): ReconcilerMetrics {
  const registers = [registry];
  const detected = new Counter({
    name: 'felucca_drift_detected_total',
    help: 'Owned fields, children or guard rails found to differ from what is desired, by kind of the object.',
    labelNames: ['kind'],
    registers,
  });
  const repaired = new Counter({
    name: 'felucca_drift_repaired_total',
    help: 'Children and guard rails set back to what is desired.',
    registers,
  });
  const throttled = new Counter({
    name: 'felucca_drift_repairs_throttled_total',
    help: 'Repairs that were put off because somebody changes a child or a guard rail again and again.',
    registers,
  });
  const changed = new Counter({
    name: 'felucca_child_changes_total',
    help: 'Changes made to children, by what they did to the child.',
    labelNames: ['effect'],
    registers,
  });
  return {
    childChanged: (effect) => changed.inc({ effect }),
    driftDetected: (kind) => detected.inc({ kind }),
    driftRepaired: () => repaired.inc(),
    repairThrottled: () => throttled.inc(),
  };
}

type Conditioned = KubeObject<unknown, { conditions?: Condition[] | undefined }>;

/** How many objects are how far, by their `Ready` condition; counted when it is read. */
export function countObjects(stores: Record<string, Store<Conditioned>>, registry: Registry): void {
  new Gauge({
    name: 'felucca_objects',
    help: 'Objects of our kinds, by the status and reason of their Ready condition.',
    labelNames: ['kind', 'ready', 'reason'] as const,
    registers: [registry],
    collect() {
      this.reset();
      for (const [kind, store] of Object.entries(stores)) {
        const counts = new Map<string, number>();
        for (const { status } of store.list()) {
          const ready = status?.conditions?.find(({ type }) => type === 'Ready');
          const series = `${ready?.status ?? 'Unknown'} ${ready?.reason ?? 'NotSeenYet'}`;
          counts.set(series, (counts.get(series) ?? 0) + 1);
        }
        // A call for each object would be most of a scrape.
        for (const [series, count] of counts) {
          const [ready, reason] = series.split(' ') as [string, string];
          this.set({ kind, ready, reason }, count);
        }
      }
    },
  });
}
