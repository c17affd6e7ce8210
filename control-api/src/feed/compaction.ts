import type { Pool } from 'pg';
import { asFeed } from '../db/tenant.ts';

export interface CompactionOptions {
  retentionMs: number;
  /** Data planes per run and tombstones per data plane: the rest waits for the next run. */
  dataPlanes?: number;
  rows?: number;
}

/**
 * A tombstone may go when the operator's durable cursor is past it in this epoch, or when it is too old. One that the
 * operator holds is still to be decided about, however long that takes.
 */
const REMOVABLE = `
  d.deleted_at IS NOT NULL
  AND NOT EXISTS (
    SELECT FROM felucca.nacks k
    WHERE k.data_plane_id = d.data_plane_id AND k.kind = d.kind AND k.key = d.key AND k.tenant_id = d.tenant_id
      AND k.id = d.id AND k.rev >= d.rev AND k.code = 'MASS_DELETE_HELD')
  AND ((s.acked_epoch = h.epoch AND d.rev <= s.acked_cursor)
       OR d.deleted_at < clock_timestamp() - $RETENTION * interval '1 millisecond')`;

const CANDIDATES = `
  SELECT h.data_plane_id
  FROM felucca.feed_heads h LEFT JOIN felucca.feed_sessions s ON s.data_plane_id = h.data_plane_id
  WHERE EXISTS (
    SELECT FROM felucca.desired d
    WHERE d.data_plane_id = h.data_plane_id AND ${REMOVABLE.replace('$RETENTION', '$1')})
  ORDER BY h.data_plane_id LIMIT $2`;

const REMOVE = `
  WITH gone AS (
    DELETE FROM felucca.desired
    WHERE data_plane_id = $1 AND deleted_at IS NOT NULL AND rev IN (
      SELECT d.rev FROM felucca.desired d
      JOIN felucca.feed_heads h ON h.data_plane_id = d.data_plane_id
      LEFT JOIN felucca.feed_sessions s ON s.data_plane_id = d.data_plane_id
      WHERE d.data_plane_id = $1 AND ${REMOVABLE.replace('$RETENTION', '$2')}
      ORDER BY d.rev LIMIT $3)
    RETURNING tenant_id, data_plane_id, kind, key, id, rev
  ), drift_gone AS (
    -- The key may belong to a newer object by now: its refusals and its drift stay.
    DELETE FROM felucca.drift t USING gone
    WHERE t.data_plane_id = gone.data_plane_id AND t.object_id = gone.id AND t.kind = gone.kind AND t.key = gone.key
  ), refusals_gone AS (
    DELETE FROM felucca.nacks t USING gone
    WHERE t.tenant_id = gone.tenant_id AND t.data_plane_id = gone.data_plane_id
      AND t.kind = gone.kind AND t.key = gone.key AND t.id = gone.id
  ), counted AS (SELECT count(*)::int AS removed, max(rev) AS up_to FROM gone)
  UPDATE felucca.feed_heads h SET compacted = greatest(h.compacted, counted.up_to)
  FROM counted WHERE h.data_plane_id = $1 AND counted.removed > 0
  RETURNING counted.removed`;

/**
 * Removes tombstones with what was told about their objects, and moves `compacted` in the same transaction, so that no cursor below it can be
 * answered with a delta that lacks them. Takes the counter's lock first, as feed_commit does.
 * @returns tombstones removed; 0 also when another process is at it.
 */
export async function compactTombstones(pool: Pool, options: CompactionOptions): Promise<number> {
  const { retentionMs, dataPlanes = 200, rows = 1_000 } = options;
  const candidates = await pool.query<{ data_plane_id: string }>(CANDIDATES, [retentionMs, dataPlanes]);
  let removed = 0;
  for (const { data_plane_id } of candidates.rows)
    removed += await compactOne(pool, data_plane_id, retentionMs, rows);
  return removed;
}

function compactOne(pool: Pool, dataPlaneId: string, retentionMs: number, limit: number): Promise<number> {
  return asFeed({ feed: pool }, async (tx) => {
    // A busy counter belongs to tenants; the next run comes in a minute.
    const locked = await tx.query({
      text: 'SELECT FROM felucca.feed_heads WHERE data_plane_id = $1 FOR UPDATE SKIP LOCKED',
      values: [dataPlaneId],
    });
    if (locked.rowCount === 0) return 0;
    const { rows } = await tx.query<{ removed: number }>({
      text: REMOVE,
      values: [dataPlaneId, retentionMs, limit],
    });
    return rows[0]?.removed ?? 0;
  });
}
