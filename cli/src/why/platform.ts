import { DATA_PLANE_NAME, isControlled } from '@felucca/contract';
import { conditionOf } from '../facts/conditions.ts';
import type { InstanceFacts } from '../facts/instance.ts';
import type { PlatformFacts } from '../facts/platform.ts';
import { isSeen, seenValue } from '../kube/errors.ts';
import { age } from '../show/age.ts';
import { type Finding, failed, findingOf, type Hop, ok, skipped, unknown } from './finding.ts';

/** A leader renews its Lease several times within its duration; beyond two durations nobody leads. */
const LEASE_PATIENCE = 2;

/** Nothing happens to any Instance unless an operator leads. */
export function operatorHop({ lease, leaseName, operatorNamespace }: PlatformFacts, now: Date): Hop {
  if (!isSeen(lease)) return unknown(`you may not read the Lease ${leaseName} in ${operatorNamespace}`);
  const spec = lease.value?.spec;
  const look = [
    `kubectl get pods,lease -n ${operatorNamespace}`,
    `kubectl logs -n ${operatorNamespace} deployment/felucca-operator --tail=50`,
  ];
  const noLeader = (what: string, remedy: string): Hop =>
    failed({
      object: `Lease/${leaseName}`,
      what,
      remedy,
      audience: 'operator',
      runbook: 'felucca-no-leader',
      look,
      events: [],
    });
  if (!spec)
    return noLeader(
      `no operator has ever led in namespace ${operatorNamespace}`,
      'install the chart felucca-operator; if it is in another namespace, say so with --operator-namespace',
    );
  if (!spec.holderIdentity)
    return noLeader(
      `no operator leads: the last one stopped ${age(spec.renewTime, now)} ago`,
      'start it again: helm upgrade, or scale its Deployment up',
    );
  const ageMs = now.getTime() - Date.parse(spec.renewTime ?? '');
  const patienceMs = (spec.leaseDurationSeconds ?? 15) * 1000 * LEASE_PATIENCE;
  if (!(ageMs <= patienceMs))
    return noLeader(
      `no operator leads: ${spec.holderIdentity} renewed its Lease ${age(spec.renewTime, now)} ago`,
      'its log and its /readyz say why it does not; a standby takes over by itself',
    );
  return ok(`${spec.holderIdentity} leads`);
}

/** Only what a control plane owns needs the link. */
export function linkHop({ platform, instance, now }: InstanceFacts): Hop {
  const { dataPlane } = platform;
  if (!isControlled(instance)) return skipped('not needed: the Instance was applied on this cluster');
  if (!isSeen(dataPlane)) return unknown('you may not read the DataPlane');
  const look = [`kubectl get dataplane ${DATA_PLANE_NAME} -o wide`];
  if (!dataPlane.value)
    return failed({
      object: `DataPlane/${DATA_PLANE_NAME}`,
      what: 'the operator has not made it yet',
      remedy: 'look at the log of the operator',
      audience: 'operator',
      look,
      events: [],
    });
  for (const type of ['Joined', 'FeedConnected'] as const) {
    const condition = conditionOf(dataPlane.value, type);
    if (condition?.status === 'False')
      return failed(
        findingOf(dataPlane.value, condition, {
          audience: 'operator',
          why: `since ${age(condition.lastTransitionTime, now)}; what runs keeps running, but no change arrives here`,
          look,
        }),
      );
  }
  const connected = conditionOf(dataPlane.value, 'FeedConnected');
  if (!connected) return unknown('the operator has not said yet whether it is connected');
  return ok(`connected, revision ${dataPlane.value.status?.cursor ?? '0'}`);
}

/** The deletion of this Instance waits for a person. */
export function heldDeletion({ platform, instance }: InstanceFacts): Finding {
  const held = conditionOf(seenValue(platform.dataPlane), 'DeletionBlocked');
  return findingOf(
    instance,
    {
      reason: 'DeletionHeld',
      message: 'the control plane has deleted it, and the deletion budget holds the deletion',
    },
    {
      ...(held ? { why: held.message } : {}),
      audience: 'operator',
      remedy: `find out who deleted; then release all held deletions: kubectl annotate dataplane ${DATA_PLANE_NAME} felucca.dev/release-deletions=<your name>`,
      look: [`kubectl get dataplane ${DATA_PLANE_NAME} -o yaml`],
    },
  );
}
