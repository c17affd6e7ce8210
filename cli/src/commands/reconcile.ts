import { ANNOTATIONS, type InstanceObject } from '@felucca/contract';
import { isTrue } from '../facts/conditions.ts';
import { isHeld } from '../facts/ownership.ts';
import { EXIT } from '../failure.ts';
import { findInstance } from '../kube/find-instance.ts';
import type { Context } from './context.ts';
import { parseDurationMs, tell, tellDeletion, type WaitFlags, waitUntil } from './wait.ts';

/** Asks the operator to look at an Instance now, and waits until it has. */
export async function reconcileCommand(context: Context, name: string, flags: WaitFlags): Promise<number> {
  const { kube, terminal } = context;
  const timeoutMs = parseDurationMs(flags.timeout);
  const instance = await findInstance(kube, name, context.namespace);
  const { namespace, uid, deletionTimestamp } = instance.metadata;
  if (deletionTimestamp) return tellDeletion(context, instance);
  const requestedAt = terminal.now().toISOString();
  const asked = await kube.patch<InstanceObject>('Instance', namespace, instance.metadata.name, {
    metadata: { uid, annotations: { [ANNOTATIONS.reconcileRequestedAt]: requestedAt } },
  });
  if (!flags.wait) {
    await tell(context, asked, 'will be reconciled');
    return EXIT.ok;
  }
  const hasLooked = ({ status }: InstanceObject): boolean => status?.lastHandledReconcileAt === requestedAt;
  return waitUntil(context, instance, timeoutMs, {
    isDone: hasLooked,
    hasLooked,
    done: 'is reconciled',
    isWell: (now) => isTrue(now, 'Ready') && !isHeld(now),
  });
}
