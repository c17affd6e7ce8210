import type { Pool } from 'pg';
import { createLookUpCache } from '../db/look-up-cache.ts';
import { createAdmission } from '../http/bucket.ts';

export interface OperatorKey {
  dataPlaneId: string;
  /** JWK `x`. */
  publicKey: string;
}

const TTL_MS = 5_000;
const MAX_CACHED = 20_000;
/** Of keys that were not good lately; enough for every operator of a large fleet after a restart of ours. */
const LOOK_UPS_PER_SECOND = 2_000;

const FIND = `
  SELECT k.data_plane_id, k.public_key
  FROM felucca.operator_keys k JOIN felucca.data_planes p ON p.id = k.data_plane_id
  WHERE k.id = $1 AND (k.revoked_at IS NULL OR k.revoked_at > now()) AND p.deleted_at IS NULL`;

/** kid → key. */
export function createKeyCache(pool: Pool, nowMs: () => number) {
  return createLookUpCache<OperatorKey>({
    ttlMs: TTL_MS,
    maxEntries: MAX_CACHED,
    nowMs,
    admit: createAdmission(LOOK_UPS_PER_SECOND, nowMs, 'unknown operators are calling'),
    find: async (kid) => {
      const { rows } = await pool.query<{ data_plane_id: string; public_key: string }>({
        name: 'link_key',
        text: FIND,
        values: [kid],
      });
      const [row] = rows;
      return row && { dataPlaneId: row.data_plane_id, publicKey: row.public_key };
    },
  });
}
