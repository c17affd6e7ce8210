import { randomBytes } from 'node:crypto';
import type { Pool } from 'pg';
import { asFeed, type Transaction } from '../db/tenant.ts';

export const mintEpoch = (): string => randomBytes(9).toString('base64url');

/**
 * Epochs belong to one history of one database. A restored backup, a promoted replica or another
 * server has another (system identifier, timeline): its revisions may mean other rows, so every
 * data plane gets a new epoch. A dump restored into the same server, or a disk put back, changes neither: there
 * whoever restores begins the epochs (`felucca admin`), or the first operator whose cursor is ahead of the head.
 * @returns how many data planes got a new epoch.
 */
export function checkLineage(pool: Pool): Promise<number> {
  return asFeed({ feed: pool }, async (tx) => {
    // Two API processes that start at once must not both mint.
    await tx.query({ text: `SELECT pg_advisory_xact_lock(hashtextextended('felucca.feed.lineage', 0))` });
    const { rows } = await tx.query<{ changed: boolean | null }>({
      text: `
      SELECT l.system_identifier IS DISTINCT FROM now.system_identifier
          OR l.timeline IS DISTINCT FROM now.timeline AS changed
      FROM (SELECT s.system_identifier::text, c.timeline_id AS timeline
            FROM pg_control_system() s, pg_control_checkpoint() c) now
      LEFT JOIN felucca.feed_lineage l ON true`,
    });
    if (rows[0]?.changed === false) return 0;
    return beginEpochs(tx);
  });
}

/** What the database is from now on is another history than before, whatever its server says. */
export async function beginEpochs(tx: Transaction): Promise<number> {
  await tx.query({
    text: `
        INSERT INTO felucca.feed_lineage (system_identifier, timeline)
        SELECT s.system_identifier::text, c.timeline_id FROM pg_control_system() s, pg_control_checkpoint() c
        ON CONFLICT (singleton) DO UPDATE SET
          system_identifier = excluded.system_identifier, timeline = excluded.timeline`,
  });
  // One for all is enough: an epoch only has to differ from all earlier ones of its data plane.
  const minted = await tx.query({
    text: 'UPDATE felucca.feed_heads SET epoch = $1, epoch_base = head',
    values: [mintEpoch()],
  });
  return minted.rowCount ?? 0;
}

/** Ends the epoch of one data plane; the epoch it has now, also when another process was first. */
export async function mintEpochFor(pool: Pool, dataPlaneId: string, old: string): Promise<string> {
  await pool.query(
    'UPDATE felucca.feed_heads SET epoch = $3, epoch_base = head WHERE data_plane_id = $1 AND epoch = $2',
    [dataPlaneId, old, mintEpoch()],
  );
  const { rows } = await pool.query<{ epoch: string }>(
    'SELECT epoch FROM felucca.feed_heads WHERE data_plane_id = $1',
    [dataPlaneId],
  );
  return rows[0]?.epoch ?? old;
}
