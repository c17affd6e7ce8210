import { type InstanceObject, type LiveObject, organizationOf, type TenantObject } from '@felucca/contract';
import type { Kube } from '../kube/client.ts';
import { ifAllowed, isSeen, type Seen } from '../kube/errors.ts';
import { type ChildrenFacts, childrenFacts } from './children.ts';
import { eventsOf } from './events.ts';
import { type PlatformFacts, platformFacts } from './platform.ts';

/** Everything that explains the state of one Instance. */
export interface InstanceFacts extends ChildrenFacts {
  platform: PlatformFacts;
  /** Undefined where no Tenant can be: in a namespace of another name. */
  organization: string | undefined;
  tenant: Seen<TenantObject | undefined>;
  events: Seen<LiveObject[]>;
  quotas: Seen<LiveObject[]>;
}

export async function instanceFacts(
  kube: Kube,
  instance: InstanceObject,
  operatorNamespace: string,
  now: Date,
): Promise<InstanceFacts> {
  const { namespace = '' } = instance.metadata;
  const organization = organizationOf(namespace);
  const [made, platform, tenant, events, quotas] = await Promise.all([
    childrenFacts(kube, instance, now),
    platformFacts(kube, operatorNamespace, instance),
    organization === undefined
      ? { value: undefined }
      : ifAllowed(kube.get<TenantObject>('Tenant', undefined, organization)),
    ifAllowed(kube.list('Event', namespace)),
    ifAllowed(kube.list('ResourceQuota', namespace)),
  ]);
  return {
    ...made,
    platform,
    organization,
    tenant,
    events: isSeen(events) ? { value: eventsOf(events.value, instance, made.children) } : events,
    quotas,
  };
}
