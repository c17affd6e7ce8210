import { asFeed, type FeedTx, withTenant } from '../../db/tenant.ts';
import { Problem } from '../../http/problems.ts';
import { audit } from '../audit.ts';
import { commitToFeed, desiredChange } from '../desired.ts';
import { lockInstance, markInstanceDeleted } from '../instances/queries.ts';
import type { Adoption } from './adopt.ts';
import { UNACCOUNTED, type UnknownRow } from './queries.ts';

/**
 * The other decision: a signed tombstone that names the object's id, above the generation that the cluster has. The
 * operator's deletion budget holds it as any other.
 * @throws Problem saying what is in the way and what to do first
 */
export async function remove({ services, caller, dataPlane }: Adoption, row: UnknownRow): Promise<void> {
  const { tenantId, kind, key, id } = row;
  if (kind === 'DataPlane')
    throw new Problem('CONFLICT', 'The settings of a data plane are adopted or changed, and never removed.');
  if (row.difference === 'ahead')
    throw new Problem(
      'CONFLICT',
      `${kind} ${key} is known here, in an older generation. Delete it as any other, or adopt what the cluster runs.`,
    );
  const needed =
    kind === 'Instance' ? 0 : await asFeed(services.db, (tx) => countNeeding(tx, dataPlane.id, row));
  if (needed > 0)
    throw new Problem(
      'IN_USE',
      `${needed} Instances on this data plane need ${kind} ${key}; decide about them first.`,
    );
  const generation = Math.max(row.generation ?? 0, row.databaseGeneration ?? 0) + 1;
  await withTenant(services.db, tenantId, async (tx) => {
    if (kind === 'Instance' && row.difference === 'ended' && (await lockInstance(tx, id))?.deleted)
      await markInstanceDeleted(tx, id, generation);
    await audit(
      tx,
      services.newId(),
      caller,
      `${kind.toLowerCase()}.remove-unknown`,
      `${kind.toLowerCase()}/${key}`,
      {
        id,
        dataPlane: dataPlane.name,
        generation,
      },
    );
    await commitToFeed(tx, services.signer, dataPlane.id, [
      desiredChange({ tenantId, kind, key, id, generation }, undefined),
    ]);
  });
}

/** Wanted or unknown: both run there. */
async function countNeeding(tx: FeedTx, dataPlaneId: string, { kind, key }: UnknownRow): Promise<number> {
  const { rows } = await tx.query<{ count: number }>({
    text: `SELECT count(*)::int AS count FROM (
             SELECT key, spec FROM felucca.desired
              WHERE data_plane_id = $1 AND kind = 'Instance' AND deleted_at IS NULL
             UNION ALL
             SELECT key, spec FROM felucca.unknown_objects u
              WHERE data_plane_id = $1 AND kind = 'Instance' AND ${UNACCOUNTED}
           ) AS i
           WHERE CASE $2 WHEN 'Tenant' THEN split_part(i.key, '/', 1)
                 ELSE (i.spec #>> '{blueprintRef,name}') || '-' || replace(i.spec #>> '{blueprintRef,version}', '.', '-')
                 END = $3`,
    values: [dataPlaneId, kind, key],
  });
  return rows[0]?.count ?? 0;
}
