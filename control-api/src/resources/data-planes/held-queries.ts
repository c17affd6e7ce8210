import type { DataPlaneSpec, FeedKind } from '@felucca/contract';
import { type FeedTx, PLATFORM_TENANT, type TenantTx, type Transaction } from '../../db/tenant.ts';
import { heldGeneration } from '../generation.ts';

/** What an operator answers to a tombstone that it holds; the link's own code. */
export const HELD_CODE = 'MASS_DELETE_HELD';
const LIST_LIMIT = 1_000;

/** Where it waits: before the feed, by our budget; or in the cluster, by the operator's. */
export const HOLDERS = ['control-plane', 'operator'] as const;

export interface HeldRow {
  tenantId: string;
  kind: FeedKind;
  key: string;
  id: string;
  generation: number;
  heldBy: (typeof HOLDERS)[number];
  deletedAt: Date;
  heldAt: Date;
  message: string;
}

/** Deletions that wait for a person, oldest first. */
export async function listHeldDeletions(tx: FeedTx, dataPlaneId: string): Promise<HeldRow[]> {
  const { rows } = await tx.query<HeldRow & Record<string, unknown>>({
    text: `SELECT * FROM (
             SELECT d.tenant_id AS "tenantId", d.kind, d.key, d.id, d.generation::int, 'operator' AS "heldBy",
                    d.deleted_at AS "deletedAt", k.at AS "heldAt", k.message
               FROM felucca.nacks k
               JOIN felucca.desired d ON d.tenant_id = k.tenant_id AND d.data_plane_id = k.data_plane_id
                 AND d.kind = k.kind AND d.key = k.key AND d.id = k.id AND d.deleted_at IS NOT NULL
              WHERE k.data_plane_id = $1 AND k.code = $2
             UNION ALL
             SELECT h.tenant_id, h.kind, h.key, h.id, h.generation::int, 'control-plane', h.held_at, h.held_at, h.message
               FROM felucca.held_deletions h WHERE h.data_plane_id = $1
           ) AS held ORDER BY "deletedAt", id LIMIT $3`,
    values: [dataPlaneId, HELD_CODE, LIST_LIMIT],
  });
  return rows;
}

/** Of these, whose end no operator has told: a permission for one that is gone is needed no more. */
export async function listNotEnded(tx: FeedTx, dataPlaneId: string, ids: string[]): Promise<string[]> {
  const { rows } = await tx.query<{ id: string }>({
    text: `SELECT d.id FROM felucca.desired d
            WHERE d.data_plane_id = $1 AND d.id = ANY($2::text[]) AND d.deleted_at IS NOT NULL AND NOT EXISTS (
              SELECT FROM felucca.observed o
               WHERE o.data_plane_id = $1 AND o.kind = d.kind AND o.id = d.id AND o.key = d.key AND o.deleted)`,
    values: [dataPlaneId, ids],
  });
  return rows.map(({ id }) => id);
}

/** Deletions of this tenant that wait before the feed. */
export async function countHeldHere(tx: TenantTx): Promise<number> {
  const { rows } = await tx.query<{ count: number }>({
    text: 'SELECT count(*)::int AS count FROM felucca.held_deletions WHERE tenant_id = $1',
    values: [tx.tenantId],
  });
  return rows[0]?.count ?? 0;
}

/** Whether the deletion of the Instance that had this key waits before the feed. */
export async function isHeldHere(tx: TenantTx, dataPlaneId: string, key: string): Promise<boolean> {
  const { rowCount } = await tx.query({
    text: `SELECT FROM felucca.held_deletions
            WHERE tenant_id = $1 AND data_plane_id = $2 AND kind = 'Instance' AND key = $3`,
    values: [tx.tenantId, dataPlaneId, key],
  });
  return rowCount === 1;
}

/** What waits before the feed, under its lock; undefined when it waits no more. */
export async function lockHeldHere(
  tx: TenantTx,
  dataPlaneId: string,
  id: string,
): Promise<{ key: string; generation: number; traceparent: string | null } | undefined> {
  const { rows } = await tx.query<{ key: string; generation: number; traceparent: string | null }>({
    text: `SELECT key, generation::int, traceparent FROM felucca.held_deletions
            WHERE tenant_id = $1 AND data_plane_id = $2 AND kind = 'Instance' AND id = $3 FOR UPDATE`,
    values: [tx.tenantId, dataPlaneId, id],
  });
  return rows[0];
}

export interface DataPlaneSettings {
  spec: DataPlaneSpec;
  generation: number;
  /** Of the cluster, where it is past this one. */
  heldGeneration: number;
}

/** The data plane's own settings, under its lock. */
export async function lockDataPlaneSpec(tx: Transaction, id: string): Promise<DataPlaneSettings | undefined> {
  const { rows } = await tx.query<DataPlaneSettings & Record<string, unknown>>({
    text: `SELECT p.spec, p.generation::int,
             ${heldGeneration('DataPlane', { tenant: '$2', dataPlane: 'p.id', id: 'p.id' })} AS "heldGeneration"
             FROM felucca.data_planes p WHERE p.id = $1 AND p.deleted_at IS NULL FOR NO KEY UPDATE`,
    values: [id, PLATFORM_TENANT],
  });
  return rows[0];
}

export async function updateDataPlaneSpec(
  tx: Transaction,
  id: string,
  spec: DataPlaneSpec,
  generation: number,
): Promise<void> {
  await tx.query({
    text: 'UPDATE felucca.data_planes SET spec = $2, generation = $3 WHERE id = $1',
    values: [id, JSON.stringify(spec), generation],
  });
}
