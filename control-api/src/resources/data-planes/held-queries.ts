import type { DataPlaneSpec, FeedKind } from '@felucca/contract';
import { type FeedTx, PLATFORM_TENANT, type Transaction } from '../../db/tenant.ts';
import { heldGeneration } from '../generation.ts';

/** What an operator answers to a tombstone that it holds; the link's own code. */
export const HELD_CODE = 'MASS_DELETE_HELD';
const LIST_LIMIT = 1_000;

export interface HeldRow {
  tenantId: string;
  kind: FeedKind;
  key: string;
  id: string;
  generation: number;
  deletedAt: Date;
  heldAt: Date;
  message: string;
}

/**
 * Deletions that wait in the cluster, oldest first. A name's next owner is refused while its former one is held, so
 * every tombstone of the key up to the refusal is.
 */
export async function listHeldDeletions(tx: FeedTx, dataPlaneId: string): Promise<HeldRow[]> {
  const { rows } = await tx.query<HeldRow & Record<string, unknown>>({
    text: `SELECT d.tenant_id AS "tenantId", d.kind, d.key, d.id, d.generation::int, d.deleted_at AS "deletedAt",
             k.at AS "heldAt", k.message
           FROM felucca.nacks k
           JOIN felucca.desired d ON d.tenant_id = k.tenant_id AND d.data_plane_id = k.data_plane_id
             AND d.kind = k.kind AND d.key = k.key AND d.deleted_at IS NOT NULL AND d.rev <= k.rev
           WHERE k.data_plane_id = $1 AND k.code = $2 ORDER BY d.rev LIMIT $3`,
    values: [dataPlaneId, HELD_CODE, LIST_LIMIT],
  });
  return rows;
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
