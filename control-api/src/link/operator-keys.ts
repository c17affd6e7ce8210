import type { Pool } from 'pg';

export interface OperatorKey {
  dataPlaneId: string;
  /** JWK `x`. */
  publicKey: string;
}

/** A key that was looked up stays usable this long: revocation works within seconds. */
const TTL_MS = 5_000;
const MAX_CACHED = 20_000;

const FIND = `
  SELECT k.data_plane_id, k.public_key
  FROM felucca.operator_keys k JOIN felucca.data_planes p ON p.id = k.data_plane_id
  WHERE k.id = $1 AND (k.revoked_at IS NULL OR k.revoked_at > now()) AND p.deleted_at IS NULL`;

/** kid → key, also remembering that there is none, so that a stranger cannot make us ask each time. */
export function createKeyCache(pool: Pool, now: () => number) {
  const cached = new Map<string, { found: Promise<OperatorKey | undefined>; untilMs: number }>();

  const find = async (kid: string): Promise<OperatorKey | undefined> => {
    const { rows } = await pool.query<{ data_plane_id: string; public_key: string }>({
      name: 'link_key',
      text: FIND,
      values: [kid],
    });
    const [row] = rows;
    return row && { dataPlaneId: row.data_plane_id, publicKey: row.public_key };
  };

  return (kid: string): Promise<OperatorKey | undefined> => {
    const hit = cached.get(kid);
    if (hit && hit.untilMs > now()) return hit.found;
    cached.delete(kid);
    // The oldest goes first: a flood of unknown ids costs known operators one query each.
    for (const old of cached.keys()) {
      if (cached.size < MAX_CACHED) break;
      cached.delete(old);
    }
    const found = find(kid);
    cached.set(kid, { found, untilMs: now() + TTL_MS });
    found.catch(() => cached.delete(kid));
    return found;
  };
}
