import { createPublicKey, type KeyObject } from 'node:crypto';
import type { Pool } from 'pg';
import { batchedLookUp } from '../db/batched-look-up.ts';
import { createLookUpCache } from '../db/look-up-cache.ts';
import { createRateLimit } from '../http/bucket.ts';

export interface OperatorKey {
  dataPlaneId: string;
  publicKey: KeyObject;
}

const TTL_MS = 5_000;
const MAX_CACHED = 20_000;
/** Of keys that were not good lately; enough for every operator of a large fleet after a restart of ours. */
const LOOK_UPS_PER_SECOND = 2_000;

const FIND = `
  SELECT k.id, k.data_plane_id, k.public_key
  FROM felucca.operator_keys k JOIN felucca.data_planes p ON p.id = k.data_plane_id
  WHERE k.id = ANY($1::text[]) AND (k.revoked_at IS NULL OR k.revoked_at > now()) AND p.deleted_at IS NULL`;

/** kid → key. */
export function createKeyCache(pool: Pool, nowMs: () => number) {
  return createLookUpCache<OperatorKey>({
    ttlMs: TTL_MS,
    remembersMissing: true,
    maxEntries: MAX_CACHED,
    nowMs,
    admit: createRateLimit(LOOK_UPS_PER_SECOND, nowMs, 'unknown operators are calling'),
    find: batchedLookUp(async (kids) => {
      const { rows } = await pool.query<{ id: string; data_plane_id: string; public_key: string }>({
        name: 'link_keys',
        text: FIND,
        values: [kids],
      });
      return new Map(
        rows.map((row) => [
          row.id,
          { dataPlaneId: row.data_plane_id, publicKey: ed25519Key(row.public_key) },
        ]),
      );
    }),
  });
}

/** @param x JWK `x`; the shape of what is in the table was checked when it joined. */
const ed25519Key = (x: string): KeyObject =>
  createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
