import {
  type Condition,
  counted,
  type InstanceObject,
  type TenantObject,
  tenantNamespace,
} from '@felucca/contract';
import { conditionOf, isHandled, isTrue } from '../facts/conditions.ts';
import { deletionText, isHeld, isOwned } from '../facts/ownership.ts';
import type { PlatformFacts } from '../facts/platform.ts';
import { type Seen, seenValue } from '../kube/errors.ts';
import { age } from '../show/age.ts';
import { type Finding, failed, findingOf, type Hop, ok, skipped } from './finding.ts';
import { connectionHop, FIRST_SHARD, heldDeletion, shardHop } from './platform.ts';
import { untilFailed, type Walk } from './walk.ts';

/** Why the namespace of a tenant, with what everything in it rests on, is not as it should be. */
export const walkTenant = (
  tenant: TenantObject,
  platform: PlatformFacts,
  now: Date,
  instances: Seen<readonly InstanceObject[]> = { value: [] },
): Walk =>
  untilFailed([
    ['operator', () => shardHop(platform, FIRST_SHARD, now)],
    ['link', () => linkHop(tenant, platform, now)],
    ['deletion', () => deletionHop(tenant, platform, now, instances)],
    ['ready', () => readyHop(tenant)],
    ['drift', () => driftHop(tenant)],
  ]);

const linkHop = (tenant: TenantObject, platform: PlatformFacts, now: Date): Hop =>
  isOwned(tenant)
    ? connectionHop(platform, now)
    : skipped('not needed: the Tenant was applied on this cluster');

function deletionHop(
  tenant: TenantObject,
  platform: PlatformFacts,
  now: Date,
  instances: Seen<readonly InstanceObject[]>,
): Hop {
  if (isHeld(tenant)) return failed(heldDeletion(platform, tenant));
  const since = tenant.metadata.deletionTimestamp;
  if (!since) return skipped('it is not being deleted');
  const ready = conditionOf(tenant, 'Ready');
  const told = isTrue(tenant, 'DeletionBlocked')
    ? conditionOf(tenant, 'DeletionBlocked')
    : ready?.status === 'False'
      ? ready
      : undefined;
  return failed(
    findingOf(
      tenant,
      told ?? { reason: 'Deleting', message: 'the operator has not said yet what it waits for' },
      {
        why: `it has been going for ${age(since, now)}`,
        audience: 'operator',
        look: lookAt(tenant),
        ...instancesLeft(seenValue(instances) ?? []),
      },
    ),
  );
}

const MAX_LOOKS = 3;

/** Its namespace goes when they are gone: each is to be deleted, and says itself what keeps it. */
function instancesLeft(instances: readonly InstanceObject[]): Partial<Finding> {
  if (instances.length === 0) return {};
  const staying = instances.filter(({ metadata }) => !metadata.deletionTimestamp);
  const look = [...staying, ...instances.filter((instance) => !staying.includes(instance))]
    .slice(0, MAX_LOOKS)
    .map(({ metadata: { name, namespace } }) => `felucca why ${name} -n ${namespace}`);
  const [first] = staying;
  return {
    remedy: first
      ? `have ${counted(staying.length, 'Instance')} deleted: ${deletionText(first)}${staying.length > 1 ? ', and so on' : ''}`
      : 'its Instances are being deleted; each says itself what it waits for',
    look,
  };
}

function readyHop(tenant: TenantObject): Hop {
  const ready = conditionOf(tenant, 'Ready');
  if (ready && ready.status !== 'True')
    return failed(
      findingOf(tenant, ready, { audience: 'operator', look: lookAt(tenant), ...oldNamespace(ready) }),
    );
  if (ready && isHandled(tenant)) return ok(ready.message);
  return failed({
    object: `Tenant/${tenant.metadata.name}`,
    what: ready
      ? `generation ${tenant.metadata.generation} is not handled yet`
      : 'no operator has handled it yet',
    remedy: 'wait a moment; if it stays, look at the log of the operator',
    audience: 'operator',
    look: lookAt(tenant),
    events: [],
  });
}

/** It makes room by itself, unless something in it does not go. */
const oldNamespace = ({ reason }: Condition): Partial<Finding> =>
  reason === 'ChildrenProgressing'
    ? { remedy: 'wait for the old namespace; what the message names in it, if anything, has to be removed' }
    : {};

function driftHop(tenant: TenantObject): Hop {
  const drift = conditionOf(tenant, 'DriftDetected');
  return drift?.status === 'True'
    ? failed(findingOf(tenant, drift, { audience: 'operator' }))
    : ok('nobody changes its account, quota, limits or network policy');
}

const lookAt = ({ metadata: { name } }: TenantObject): string[] => [
  `kubectl describe tenant ${name}`,
  `felucca tree tenant/${name}`,
  `kubectl get namespace ${tenantNamespace(name)} -o yaml`,
];
