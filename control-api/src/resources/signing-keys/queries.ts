import { type DataPlaneSpec, type FeedKind, feedKey } from '@felucca/contract';
import type { FeedTx } from '../../db/tenant.ts';

export interface KnowingRow {
  id: string;
  name: string;
  spec: DataPlaneSpec;
  /** The key of its own row. */
  signedBy: string | null;
  /** Its operator has applied the newest of its settings. */
  isApplied: boolean;
}

/** Every data plane, with what its own signed row says. */
export async function listKnowing(tx: FeedTx): Promise<KnowingRow[]> {
  const { rows } = await tx.query<KnowingRow & Record<string, unknown>>({
    text: `SELECT p.id, p.name, p.spec, d.kid AS "signedBy",
             coalesce(s.acked_epoch = h.epoch AND s.acked_cursor >= d.rev, false) AS "isApplied"
           FROM felucca.data_planes p
           JOIN felucca.feed_heads h ON h.data_plane_id = p.id
           LEFT JOIN felucca.feed_sessions s ON s.data_plane_id = p.id
           LEFT JOIN felucca.desired d ON d.data_plane_id = p.id AND d.kind = 'DataPlane' AND d.key = $1
           WHERE p.deleted_at IS NULL ORDER BY p.name`,
    values: [feedKey.dataPlane()],
  });
  return rows;
}

/** How many rows, tombstones included, are signed with which key. */
export async function countByKey(tx: FeedTx): Promise<Map<string, number>> {
  const { rows } = await tx.query<{ kid: string; count: number }>({
    text: `SELECT d.kid, count(*)::int AS count FROM felucca.desired d
           JOIN felucca.data_planes p ON p.id = d.data_plane_id AND p.deleted_at IS NULL GROUP BY d.kid`,
  });
  return new Map(rows.map(({ kid, count }) => [kid, count]));
}

export interface SignedRow {
  tenantId: string;
  dataPlaneId: string;
  kind: FeedKind;
  key: string;
  id: string;
  generation: number;
  hash: string;
  spec: unknown;
  kid: string;
  sig: string;
  deleted: boolean;
  traceparent: string | null;
}

/** Rows of these data planes that another key than `kid` signed; `after` the last of the page before. */
export async function listSignedByOthers(
  tx: FeedTx,
  kid: string,
  dataPlaneIds: readonly string[],
  after: Pick<SignedRow, 'dataPlaneId' | 'tenantId' | 'kind' | 'key' | 'id'> | undefined,
  limit: number,
): Promise<SignedRow[]> {
  const { dataPlaneId = null, tenantId = null, kind = '', key = '', id = '' } = after ?? {};
  const { rows } = await tx.query<SignedRow & Record<string, unknown>>({
    text: `SELECT tenant_id AS "tenantId", data_plane_id AS "dataPlaneId", kind, key, id, generation::int, hash, spec, kid, sig,
             deleted_at IS NOT NULL AS deleted, traceparent
           FROM felucca.desired
           WHERE kid <> $1 AND data_plane_id = ANY($2::uuid[])
             AND ($3::uuid IS NULL OR (data_plane_id, tenant_id, kind, key, id) > ($3::uuid, $4::uuid, $5, $6, $7))
           ORDER BY data_plane_id, tenant_id, kind, key, id LIMIT $8`,
    values: [kid, dataPlaneIds, dataPlaneId, tenantId, kind, key, id, limit],
  });
  return rows;
}
