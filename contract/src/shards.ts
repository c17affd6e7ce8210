/**
 * In which part of a cluster's Instances one is, and by which Lease that part is worked on. The operator acts by it and
 * the CLI explains by it, so that they can't disagree.
 */

/** The common name of the operators' Leases, as the chart sets it. */
export const LEASE_NAME = 'felucca-operator';

/** Of an Instance. UIDs are random, so a part of one is as good as a hash of it. */
export const shardOf = (uid: string, count: number): number =>
  count === 1 ? 0 : Number.parseInt(uid.slice(0, 8), 16) % count || 0;

export const leaseName = (name: string, shard: number, count: number): string =>
  count === 1 ? name : `${name}-${shard}-of-${count}`;

/** The inverse of `leaseName`: in how many parts the holders of this Lease divide the Instances; undefined for a Lease of others. */
export function shardCountOf(name: string, lease: string): number | undefined {
  if (lease === name) return 1;
  if (!lease.startsWith(`${name}-`)) return undefined;
  const count = /^\d+-of-(\d+)$/.exec(lease.slice(name.length + 1))?.[1];
  return count === undefined ? undefined : Number(count);
}
