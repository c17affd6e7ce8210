import { canonicalJson, type KubeObject, LABELS } from '@felucca/contract';
import type { Reflector } from '../../runtime/reflector.ts';
import { GVR } from '../../runtime/resources.ts';
import type { LiveObject } from '../cluster.ts';
import type { CreateReflector } from '../watched-objects.ts';

/** What a Tenant's reconciler makes; a change of one by somebody else is undone at once, not at the next resync. */
const KINDS = [
  GVR.Namespace,
  GVR.ServiceAccount,
  GVR.ResourceQuota,
  GVR.LimitRange,
  GVR.NetworkPolicy,
  GVR.RoleBinding,
];

/** The guard rails of all tenants, by our label. */
export class WatchedTenantObjects {
  readonly reflectors: Reflector<LiveObject>[];

  constructor(create: CreateReflector) {
    this.reflectors = KINDS.map((gvr) =>
      create<LiveObject>({ gvr, labelSelector: LABELS.tenant, project: withoutStatus }),
    );
  }

  learn(object: KubeObject): void {
    if (object.metadata.labels?.[LABELS.tenant])
      this.reflectors.find(({ kind }) => kind === object.kind)?.learn(object);
  }

  /** Names the Tenant whose object was changed or went away; not what happened to a status (a quota's usage). */
  onChange(listener: (tenant: string) => void): void {
    for (const { store } of this.reflectors)
      store.onEvent(({ type, object, before, initial, own }) => {
        const tenant = object.metadata.labels?.[LABELS.tenant] ?? before?.metadata.labels?.[LABELS.tenant];
        if (!tenant || initial || own) return;
        if (type === 'updated' && before && fingerprint(before) === fingerprint(object)) return;
        listener(tenant);
      });
  }
}

const fingerprint = ({ metadata, ...body }: LiveObject): string =>
  canonicalJson([{ ...metadata, resourceVersion: '' }, body]);

function withoutStatus(object: KubeObject): LiveObject {
  const { managedFields: _, ...metadata } = (object as LiveObject).metadata;
  const { status: __, ...body } = object as LiveObject;
  return { ...body, metadata };
}
