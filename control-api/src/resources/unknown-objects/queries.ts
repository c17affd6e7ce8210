import type { FeedKind } from '@felucca/contract';
import type { FeedTx } from '../../db/tenant.ts';

/** How the database stands to an object that a cluster holds. */
export const DIFFERENCES = {
  unknown: 'no row here has its id',
  ahead: 'the row here is older than what the cluster runs',
  ended: 'the row here says that it is deleted, and is older than what the cluster runs',
  removing: 'a tombstone for it is on its way',
} as const;
export type Difference = keyof typeof DIFFERENCES;

export interface UnknownRow {
  tenantId: string;
  kind: FeedKind;
  key: string;
  id: string;
  difference: Difference;
  /** Null where no signature of ours says it. */
  generation: number | null;
  databaseGeneration: number | null;
  hash: string | null;
  spec: Record<string, unknown> | null;
  organization: string | null;
  since: Date;
  seenAt: Date;
}

/** No live row of its generation or a higher one accounts for object `u`; what one does waits only to be swept. */
export const UNACCOUNTED = `
  EXISTS (SELECT FROM felucca.feed_heads h WHERE h.data_plane_id = u.data_plane_id AND h.epoch = u.epoch)
  AND NOT EXISTS (
    SELECT FROM felucca.desired d
    WHERE d.data_plane_id = u.data_plane_id AND d.kind = u.kind AND d.key = u.key AND d.id = u.id
      AND d.deleted_at IS NULL AND d.generation >= coalesce(u.generation, 0))`;

const UNKNOWN = `
  SELECT u.tenant_id AS "tenantId", u.kind, u.key, u.id, u.generation::int, u.hash, u.spec, u.since,
         u.seen_at AS "seenAt", g.name AS organization, d.generation::int AS "databaseGeneration",
         CASE WHEN d.rev IS NULL THEN 'unknown'
              WHEN d.deleted_at IS NULL THEN 'ahead'
              WHEN d.generation >= coalesce(u.generation, 0) THEN 'removing'
              ELSE 'ended' END AS difference
  FROM felucca.unknown_objects u
  LEFT JOIN felucca.desired d ON d.data_plane_id = u.data_plane_id AND d.kind = u.kind AND d.key = u.key AND d.id = u.id
  LEFT JOIN felucca.organizations g ON g.id = u.tenant_id
  WHERE u.data_plane_id = $1 AND ${UNACCOUNTED}`;

// What others need comes first, so that all of a page can be adopted in its order.
const IN_ORDER = `array_position(ARRAY['DataPlane', 'Blueprint', 'Tenant', 'Instance'], kind), key, id`;

export async function listUnknown(tx: FeedTx, dataPlaneId: string, limit: number): Promise<UnknownRow[]> {
  const { rows } = await tx.query<UnknownRow & Record<string, unknown>>({
    text: `SELECT * FROM (${UNKNOWN}) AS one ORDER BY ${IN_ORDER} LIMIT $2`,
    values: [dataPlaneId, limit],
  });
  return rows;
}

/** Those of these ids, or the first that can be decided about. */
export async function findUnknown(
  tx: FeedTx,
  dataPlaneId: string,
  ids: readonly string[] | undefined,
  limit: number,
): Promise<UnknownRow[]> {
  const { rows } = await tx.query<UnknownRow & Record<string, unknown>>({
    text: `SELECT * FROM (${UNKNOWN}) AS one
            WHERE CASE WHEN $2::text[] IS NULL THEN difference <> 'removing' ELSE id = ANY($2) END
            ORDER BY ${IN_ORDER} LIMIT $3`,
    values: [dataPlaneId, ids ?? null, limit],
  });
  return rows;
}

export async function countUnknown(tx: FeedTx, dataPlaneId: string): Promise<number> {
  const { rows } = await tx.query<{ count: number }>({
    text: `SELECT count(*)::int AS count FROM (${UNKNOWN}) AS one WHERE difference <> 'removing'`,
    values: [dataPlaneId],
  });
  return rows[0]?.count ?? 0;
}
