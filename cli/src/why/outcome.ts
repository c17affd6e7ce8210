import { conditionOf } from '../facts/conditions.ts';
import type { InstanceFacts } from '../facts/instance.ts';
import { failed, findingOf, type Hop, ok, unknown } from './finding.ts';

export function driftHop({ instance }: InstanceFacts): Hop {
  const drift = conditionOf(instance, 'DriftDetected');
  const [newest] = instance.status?.drift ?? [];
  if (drift?.status !== 'True') return ok(drift ? 'owned fields are as desired' : 'none was ever seen');
  return failed(
    findingOf(instance, drift, {
      ...(newest
        ? {
            why: `${newest.object} ${newest.path || 'was deleted'}: expected ${newest.expected}, found ${newest.actual}, changed by ${newest.manager} at ${newest.detectedAt}`,
          }
        : {}),
      look: [`felucca diff ${instance.metadata.name} -n ${instance.metadata.namespace}`],
    }),
  );
}

/** The operator's own verdict, which closes the walk. */
export function readyHop({ instance }: InstanceFacts): Hop {
  const ready = conditionOf(instance, 'Ready');
  if (!ready) return unknown('the operator has not said so yet');
  if (ready.status === 'True') return ok(ready.message);
  const { name, namespace } = instance.metadata;
  const look = ready.reason === 'Suspended' ? [`felucca resume ${name} -n ${namespace}`] : [];
  return failed(findingOf(instance, ready, { look }));
}
