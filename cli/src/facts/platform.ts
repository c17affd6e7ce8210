import {
  DATA_PLANE_NAME,
  type DataPlaneObject,
  type InstanceObject,
  type KubeObject,
  LEASE_NAME,
  leaseName,
  shardCountOf,
} from '@felucca/contract';
import type { Kube } from '../kube/client.ts';
import { ifAllowed, isSeen, type Seen, seenValue } from '../kube/errors.ts';

/** Who leads, as leader election records it. */
export type Lease = KubeObject<{
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  renewTime?: string;
}>;

/** What an Instance depends on and shares with others: the operators and their link. */
export interface PlatformFacts {
  operatorNamespace: string;
  /** The Lease of each shard, by its number; as many as there are shards, and at least one. */
  leases: readonly Seen<Lease | undefined>[];
  dataPlane: Seen<DataPlaneObject | undefined>;
}

/** With an Instance that is to be explained: what was written to it says more about who leads. */
export async function platformFacts(
  kube: Kube,
  operatorNamespace: string,
  instance?: InstanceObject,
): Promise<PlatformFacts> {
  const [dataPlane, all] = await Promise.all([
    ifAllowed(kube.get<DataPlaneObject>('DataPlane', undefined, DATA_PLANE_NAME)),
    ifAllowed(kube.list<Lease>('Lease', operatorNamespace)),
  ]);
  if (isSeen(all)) return { operatorNamespace, dataPlane, leases: leasesOfShards(all.value) };
  // Who has the role `view` may read each Lease by its name, which holds the number of shards.
  const count = countByStamps([seenValue(dataPlane)?.status?.term, instance?.status?.term]);
  const leases = await Promise.all(
    Array.from({ length: count }, (_, shard) =>
      ifAllowed(kube.get<Lease>('Lease', operatorNamespace, leaseName(LEASE_NAME, shard, count))),
    ),
  );
  return { operatorNamespace, dataPlane, leases };
}

/** Leases of an earlier number of shards stay: that number counts of which one is held, or was last. */
export function leasesOfShards(leases: readonly Lease[]): Seen<Lease | undefined>[] {
  const newest = leases
    .filter(({ metadata }) => shardCountOf(LEASE_NAME, metadata.name) !== undefined)
    .toSorted((a, b) => Number(isHeld(b)) - Number(isHeld(a)) || renewedMs(b) - renewedMs(a))[0];
  const count = (newest && shardCountOf(LEASE_NAME, newest.metadata.name)) ?? 1;
  return Array.from({ length: count }, (_, shard) => {
    const name = leaseName(LEASE_NAME, shard, count);
    return { value: leases.find(({ metadata }) => metadata.name === name) };
  });
}

const isHeld = ({ spec }: Lease): boolean => Boolean(spec?.holderIdentity);
const renewedMs = ({ spec }: Lease): number => Date.parse(spec?.renewTime ?? '') || 0;

/** From `<lease>/<term>`, as leaders write it. Terms only grow, also when the number of shards changes. */
export function countByStamps(stamps: readonly (string | undefined)[]): number {
  const [newest = ''] = stamps
    .flatMap((stamp) => stamp ?? [])
    .toSorted((a, b) => Number(b.split('/')[1]) - Number(a.split('/')[1]));
  return shardCountOf(LEASE_NAME, newest.split('/')[0] ?? '') ?? 1;
}
