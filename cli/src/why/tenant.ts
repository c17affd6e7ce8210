import type { TenantObject } from '@felucca/contract';
import { conditionOf, isHandled, isTrue } from '../facts/conditions.ts';
import { isHeld, isOwned } from '../facts/ownership.ts';
import type { PlatformFacts } from '../facts/platform.ts';
import { age } from '../show/age.ts';
import { failed, findingOf, type Hop, ok, skipped } from './finding.ts';
import { connectionHop, FIRST_SHARD, heldDeletion, shardHop } from './platform.ts';
import { untilFailed, type Walk } from './walk.ts';

/** Why the namespace of a tenant, with what everything in it rests on, is not as it should be. */
export const walkTenant = (tenant: TenantObject, platform: PlatformFacts, now: Date): Walk =>
  untilFailed([
    ['operator', () => shardHop(platform, FIRST_SHARD, now)],
    ['link', () => linkHop(tenant, platform, now)],
    ['deletion', () => deletionHop(tenant, platform, now)],
    ['ready', () => readyHop(tenant)],
    ['drift', () => driftHop(tenant)],
  ]);

const linkHop = (tenant: TenantObject, platform: PlatformFacts, now: Date): Hop =>
  isOwned(tenant)
    ? connectionHop(platform, now)
    : skipped('not needed: the Tenant was applied on this cluster');

function deletionHop(tenant: TenantObject, platform: PlatformFacts, now: Date): Hop {
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
      { why: `it has been going for ${age(since, now)}`, audience: 'operator', look: lookAt(tenant) },
    ),
  );
}

function readyHop(tenant: TenantObject): Hop {
  const ready = conditionOf(tenant, 'Ready');
  if (ready && ready.status !== 'True')
    return failed(findingOf(tenant, ready, { audience: 'operator', look: lookAt(tenant) }));
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

function driftHop(tenant: TenantObject): Hop {
  const drift = conditionOf(tenant, 'DriftDetected');
  return drift?.status === 'True'
    ? failed(findingOf(tenant, drift, { audience: 'operator' }))
    : ok('nobody changes its account, quota, limits or network policy');
}

const lookAt = ({ metadata: { name } }: TenantObject): string[] => [
  `kubectl describe tenant ${name}`,
  `felucca tree tenant/${name}`,
];
