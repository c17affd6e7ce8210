import type { FeedTx } from '../db/tenant.ts';

/** Deletions that the control plane's own budget keeps out of the feed of one data plane, or of all. */
export async function countHeldDeletions(tx: FeedTx, dataPlaneId?: string): Promise<number> {
  const { rows } = await tx.query<{ count: number }>({
    text: 'SELECT count(*)::int AS count FROM felucca.held_deletions WHERE $1::uuid IS NULL OR data_plane_id = $1',
    values: [dataPlaneId ?? null],
  });
  return rows[0]?.count ?? 0;
}
