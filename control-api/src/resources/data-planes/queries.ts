import type { DataPlaneSpec } from '@felucca/contract';
import { sqlState, UNIQUE_VIOLATION, violatedConstraint } from '../../db/errors.ts';
import type { Statement, Transaction } from '../../db/tenant.ts';
import { Problem } from '../../http/problems.ts';

export interface DataPlaneRow {
  id: string;
  name: string;
  spec: DataPlaneSpec;
  created_at: Date;
  joined_at: Date | null;
  last_seen_at: Date | null;
  operator_version: string | null;
  operator_instance: string | null;
  sealing_key: string | null;
  epoch: string;
  head: string;
  /** '0' when nothing was acknowledged in this epoch. */
  acked_cursor: string;
  connected: boolean;
}

/** An API process that was killed ends no session; three marks that did not come tell as much (feed/hub.ts). */
const COLUMNS = `p.id, p.name, p.spec, p.created_at, p.joined_at, s.last_seen_at, p.operator_version, s.operator_instance, p.sealing_key,
  h.epoch, h.head::text, (CASE WHEN s.acked_epoch = h.epoch THEN s.acked_cursor ELSE 0 END)::text AS acked_cursor,
  (s.ended_at IS NULL AND coalesce(s.last_seen_at > now() - interval '3 minutes', false)) AS connected`;
const FROM = `felucca.data_planes p
  JOIN felucca.feed_heads h ON h.data_plane_id = p.id
  LEFT JOIN felucca.feed_sessions s ON s.data_plane_id = p.id`;

export async function insertDataPlane(
  tx: Transaction,
  id: string,
  name: string,
  epoch: string,
): Promise<void> {
  try {
    await tx.query({
      text: 'INSERT INTO felucca.data_planes (id, name) VALUES ($1, $2)',
      values: [id, name],
    });
  } catch (error) {
    if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
    if (violatedConstraint(error) === 'data_planes_name')
      throw new Problem('NAME_TAKEN', `There is a data plane "${name}" already; choose another name.`);
    throw new Problem('CONFLICT', `There is a data plane ${id} already, or was; leave the id out.`);
  }
  await tx.query({
    text: 'INSERT INTO felucca.feed_heads (data_plane_id, epoch) VALUES ($1, $2)',
    values: [id, epoch],
  });
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** What looks like an id is one: such a name could stand for somebody else's data plane. */
export const looksLikeId = (name: string): boolean => UUID.test(name);

/** By id or by name: people type names, programs keep ids. */
export async function findDataPlane(tx: Transaction, idOrName: string): Promise<DataPlaneRow | undefined> {
  const { rows } = await tx.query<DataPlaneRow>({
    text: `SELECT ${COLUMNS} FROM ${FROM} WHERE ${looksLikeId(idOrName) ? 'p.id' : 'p.name'} = $1 AND p.deleted_at IS NULL`,
    values: [idOrName],
  });
  return rows[0];
}

export async function listDataPlanes(tx: Transaction, after: string, limit: number): Promise<DataPlaneRow[]> {
  const { rows } = await tx.query<DataPlaneRow>({
    text: `SELECT ${COLUMNS} FROM ${FROM} WHERE p.deleted_at IS NULL AND p.name > $1 ORDER BY p.name LIMIT $2`,
    values: [after, limit],
  });
  return rows;
}

/** The one that an Instance is ordered on, by id or by name: until the transaction ends nobody deletes it. */
export async function holdDataPlane(
  tx: Transaction,
  idOrName: string,
): Promise<{ id: string; name: string } | undefined> {
  const { rows } = await tx.query<{ id: string; name: string }>(dataPlaneHeld(idOrName));
  return rows[0];
}

export const dataPlaneHeld = (idOrName: string): Statement => ({
  text: `SELECT id, name FROM felucca.data_planes
          WHERE ${looksLikeId(idOrName) ? 'id' : 'name'} = $1 AND deleted_at IS NULL FOR KEY SHARE`,
  values: [idOrName],
});

/** Waits for the orders that hold it; those that come later find it deleted. False when it was deleted before. */
export async function markDataPlaneDeleted(tx: Transaction, id: string): Promise<boolean> {
  // The update alone leaves the key as it is, so it would not wait for whoever holds that.
  const { rowCount } = await tx.query({
    text: 'SELECT FROM felucca.data_planes WHERE id = $1 AND deleted_at IS NULL FOR UPDATE',
    values: [id],
  });
  if (rowCount === 0) return false;
  await tx.query({ text: 'UPDATE felucca.data_planes SET deleted_at = now() WHERE id = $1', values: [id] });
  await tx.query({
    text: 'UPDATE felucca.operator_keys SET revoked_at = now() WHERE data_plane_id = $1 AND revoked_at IS NULL',
    values: [id],
  });
  return true;
}
