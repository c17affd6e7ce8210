import { randomBytes } from 'node:crypto';
import type { Pool } from 'pg';

export const mintEpoch = (): string => randomBytes(9).toString('base64url');

/**
 * Epochs belong to one history of one database. A restored backup, a promoted replica or another
 * server has another (system identifier, timeline): its revisions may mean other rows, so every
 * data plane gets a new epoch. A dump restored into the same server changes neither; the restore
 * command must call `mintAllEpochs`.
 * @returns how many data planes got a new epoch.
 */
export async function checkLineage(pool: Pool): Promise<number> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    // Two API processes that start at once must not both mint.
    await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('felucca.feed.lineage', 0))`);
    const { rows } = await client.query<{ changed: boolean | null }>(`
      SELECT l.system_identifier IS DISTINCT FROM now.system_identifier
          OR l.timeline IS DISTINCT FROM now.timeline AS changed
      FROM (SELECT s.system_identifier::text, c.timeline_id AS timeline
            FROM pg_control_system() s, pg_control_checkpoint() c) now
      LEFT JOIN felucca.feed_lineage l ON true`);
    const changed = rows[0]?.changed ?? true;
    const minted = changed ? await mintAll(client) : 0;
    if (changed)
      await client.query(`
        INSERT INTO felucca.feed_lineage (system_identifier, timeline)
        SELECT s.system_identifier::text, c.timeline_id FROM pg_control_system() s, pg_control_checkpoint() c
        ON CONFLICT (singleton) DO UPDATE SET
          system_identifier = excluded.system_identifier, timeline = excluded.timeline`);
    await client.query('COMMIT');
    return minted;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  } finally {
    client.release();
  }
}

type Queryable = Pick<Pool, 'query'>;

/** One random suffix is enough: an epoch only has to differ from all earlier ones of its data plane. */
async function mintAll(db: Queryable): Promise<number> {
  const { rowCount } = await db.query('UPDATE felucca.feed_heads SET epoch = $1', [mintEpoch()]);
  return rowCount ?? 0;
}
export const mintAllEpochs = (pool: Pool): Promise<number> => mintAll(pool);

/** Ends the epoch of one data plane; the epoch it has now, also when another process was first. */
export async function mintEpochFor(pool: Pool, dataPlaneId: string, old: string): Promise<string> {
  await pool.query('UPDATE felucca.feed_heads SET epoch = $3 WHERE data_plane_id = $1 AND epoch = $2', [
    dataPlaneId,
    old,
    mintEpoch(),
  ]);
  const { rows } = await pool.query<{ epoch: string }>(
    'SELECT epoch FROM felucca.feed_heads WHERE data_plane_id = $1',
    [dataPlaneId],
  );
  return rows[0]?.epoch ?? old;
}
