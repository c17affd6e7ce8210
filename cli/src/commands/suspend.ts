import type { InstanceObject } from '@felucca/contract';
import { conditionOf, isHandled } from '../facts/conditions.ts';
import { isHeld } from '../facts/ownership.ts';
import { EXIT } from '../failure.ts';
import { findInstance } from '../kube/find-instance.ts';
import type { Context } from './context.ts';
import { refuseIfOwned } from './local-only.ts';
import { parseDurationMs, tell, tellDeletion, type WaitFlags, waitUntil } from './wait.ts';

/** Scales an Instance to zero and keeps its data, or brings it back. */
export async function suspendCommand(
  context: Context,
  name: string,
  suspend: boolean,
  flags: WaitFlags,
): Promise<number> {
  const { kube } = context;
  const timeoutMs = parseDurationMs(flags.timeout);
  const instance = await findInstance(kube, name, context.namespace);
  if (instance.metadata.deletionTimestamp || isHeld(instance)) return tellDeletion(context, instance);
  refuseIfOwned(instance, suspend ? 'suspended' : 'resumed', {
    method: 'POST',
    path: suspend ? '/suspend' : '/resume',
  });
  const { namespace, uid } = instance.metadata;
  if ((instance.spec?.suspend ?? false) === suspend) {
    await tell(context, instance, suspend ? 'is suspended already' : 'is not suspended');
    return EXIT.ok;
  }
  const asked = await kube.patch<InstanceObject>('Instance', namespace, instance.metadata.name, {
    metadata: { uid },
    spec: { suspend },
  });
  if (!flags.wait) {
    await tell(context, asked, `will be ${suspend ? 'suspended' : 'resumed'}`);
    return EXIT.ok;
  }
  const isThere = (now: InstanceObject): boolean => {
    const ready = conditionOf(now, 'Ready');
    return suspend ? ready?.reason === 'Suspended' : ready?.status === 'True';
  };
  const hasLooked = (now: InstanceObject): boolean =>
    (now.spec?.suspend ?? false) === suspend && isHandled(now);
  return waitUntil(context, instance, timeoutMs, {
    isDone: (now) => hasLooked(now) && isThere(now),
    hasLooked,
    done: suspend ? 'is suspended' : 'is resumed',
    isWell: isThere,
  });
}
