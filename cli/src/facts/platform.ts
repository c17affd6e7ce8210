import { DATA_PLANE_NAME, type DataPlaneObject, type KubeObject } from '@felucca/contract';
import type { Kube } from '../kube/client.ts';
import { ifAllowed, type Seen } from '../kube/errors.ts';

/** Who leads, as leader election records it. */
export type Lease = KubeObject<{
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  renewTime?: string;
}>;

/** What an Instance depends on and shares with all others: the operator and its link. */
export interface PlatformFacts {
  operatorNamespace: string;
  lease: Seen<Lease | undefined>;
  dataPlane: Seen<DataPlaneObject | undefined>;
}

export const LEASE_NAME = 'felucca-operator';

export async function platformFacts(kube: Kube, operatorNamespace: string): Promise<PlatformFacts> {
  const [lease, dataPlane] = await Promise.all([
    ifAllowed(kube.get<Lease>('Lease', operatorNamespace, LEASE_NAME)),
    ifAllowed(kube.get<DataPlaneObject>('DataPlane', undefined, DATA_PLANE_NAME)),
  ]);
  return { operatorNamespace, lease, dataPlane };
}
