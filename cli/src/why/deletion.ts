import type { Condition, InstanceObject } from '@felucca/contract';
import { conditionOf } from '../facts/conditions.ts';
import type { InstanceFacts } from '../facts/instance.ts';
import { isHeld } from '../facts/ownership.ts';
import { seenValue } from '../kube/errors.ts';
import { age } from '../show/age.ts';
import { failed, failedApart, findingOf, type Hop, skipped } from './finding.ts';
import { heldDeletion } from './platform.ts';

/** An Instance on its way out has only one question left: what is still there? */
export function deletionHop({ instance, children, platform, now }: InstanceFacts): Hop {
  const since = instance.metadata.deletionTimestamp;
  // It runs on meanwhile, and whatever else is wrong with it is wrong all the same.
  if (!since && isHeld(instance)) return failedApart(heldDeletion(platform, instance));
  const blocked = conditionOf(instance, 'DeletionBlocked');
  if (!since) return leftOverHop(instance, blocked);
  const why = `it has been going for ${age(since, now)}`;
  const left = children.filter(({ live }) => seenValue(live));
  // The rest follows by itself, wave after wave.
  const going = left.filter(({ live }) => seenValue(live)?.metadata.deletionTimestamp);
  const awaited = (going.length > 0 ? going : left).map(({ entry }) => entry);
  const look = awaited
    .slice(0, 3)
    .map(
      ({ kind, name }) =>
        `kubectl get ${kind.toLowerCase()} ${name} -n ${instance.metadata.namespace} -o yaml`,
    );
  if (blocked?.status === 'True')
    return failed(findingOf(instance, blocked, { why, audience: 'operator', look }));
  const names = awaited.map(({ kind, name }) => `${kind}/${name}`).join(', ');
  return failed(
    findingOf(
      instance,
      { reason: 'Deleting', message: names ? `it waits for ${names} to go away` : 'its children are gone' },
      { why, audience: 'operator', look },
    ),
  );
}

/** A child of an earlier version, or that makes room for another, does not go. */
const leftOverHop = (instance: InstanceObject, blocked: Condition | undefined): Hop =>
  blocked?.status === 'True' && blocked.reason === 'ChildStillExists'
    ? failed(
        findingOf(instance, blocked, {
          why: 'the Instance does not want it any more, and everything else goes on',
          audience: 'operator',
        }),
      )
    : skipped('it is not being deleted');
