import { DATA_PLANE_NAME, type DataPlaneObject, type KubeObject } from '@felucca/contract';
import type { Kube } from '../kube/client.ts';
import { ifAllowed, isSeen, type Seen } from '../kube/errors.ts';

/** Who leads, as leader election records it. */
export type Lease = KubeObject<{
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  renewTime?: string;
}>;

/** What an Instance depends on and shares with all others: the operator and its link. */
export interface PlatformFacts {
  operatorNamespace: string;
  leaseName: string;
  lease: Seen<Lease | undefined>;
  dataPlane: Seen<DataPlaneObject | undefined>;
}

const LEASE_NAME = 'felucca-operator';

export async function platformFacts(kube: Kube, operatorNamespace: string): Promise<PlatformFacts> {
  const dataPlane = await ifAllowed(kube.get<DataPlaneObject>('DataPlane', undefined, DATA_PLANE_NAME));
  // With shards the Lease of the first has another name; what its holder wrote says which.
  const term = isSeen(dataPlane) ? dataPlane.value?.status?.term : undefined;
  const leaseName = term?.split('/')[0] || LEASE_NAME;
  const lease = await ifAllowed(kube.get<Lease>('Lease', operatorNamespace, leaseName));
  return { operatorNamespace, leaseName, lease, dataPlane };
}
