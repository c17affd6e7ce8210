import type { Pool } from 'pg';
import { asFeed } from '../db/tenant.ts';

/** Deletions that the control plane's own budget keeps out of the feeds. */
export const countHeldDeletions = (pool: Pool): Promise<number> =>
  asFeed({ feed: pool }, async (tx) => {
    const { rows } = await tx.query<{ count: number }>({
      text: 'SELECT count(*)::int AS count FROM felucca.held_deletions',
    });
    return rows[0]?.count ?? 0;
  });
