import type { Pool } from 'pg';
import { HEAD_COLUMNS, type Head, toHead } from './rows.ts';

export interface ClaimRequest {
  dataPlaneId: string;
  session: string;
  /** Fencing term of the operator's Lease. */
  term: number;
  /** Name of the operator process, for people. */
  instance: string;
}
/** `granted` false: a session with a higher term holds the data plane. */
export type Claim = { granted: boolean; head: Head } | undefined;

/**
 * A connection becomes the data plane's session: newest wins among equal terms, a lower term never.
 * The counter row comes back with it, so a hello is one statement, shared by all that arrive together:
 * 10,000 reconnects are a handful of statements and not 10,000.
 */
const CLAIM = `
  WITH want AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[]) AS w(id, session, term, instance)
  ), claimed AS (
    INSERT INTO felucca.feed_sessions AS s (data_plane_id, session, term)
    SELECT w.id, w.session, w.term FROM want w JOIN felucca.feed_heads h ON h.data_plane_id = w.id ORDER BY w.id
    ON CONFLICT (data_plane_id) DO UPDATE SET
      session = excluded.session, term = excluded.term, started_at = now(), ended_at = NULL,
      last_seq = 0, last_reply = NULL
      WHERE s.term <= excluded.term
    RETURNING s.data_plane_id
  ), seen AS (
    UPDATE felucca.data_planes p SET last_seen_at = now(), operator_instance = w.instance
    FROM want w JOIN claimed c ON c.data_plane_id = w.id WHERE p.id = w.id
  )
  SELECT ${HEAD_COLUMNS}, w.session, c.data_plane_id IS NOT NULL AS granted
  FROM want w JOIN felucca.feed_heads h ON h.data_plane_id = w.id
  LEFT JOIN claimed c ON c.data_plane_id = w.id`;

const MAX_WAITING = 10_000;
const BATCH = 500;

export class Overloaded extends Error {}

export function createClaims(pool: Pool, coalesceMs = 2) {
  interface Waiting {
    request: ClaimRequest;
    resolve: (claim: Claim) => void;
    reject: (error: Error) => void;
  }
  let waiting: Waiting[] = [];
  let running = false;

  const run = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = new Map<string, Waiting>();
      const later: Waiting[] = [];
      // One per data plane and batch: ON CONFLICT cannot decide between two new rows.
      for (const entry of waiting)
        if (batch.size < BATCH && !batch.has(entry.request.dataPlaneId))
          batch.set(entry.request.dataPlaneId, entry);
        else later.push(entry);
      waiting = later;
      try {
        const claims = await claimAll(
          pool,
          [...batch.values()].map(({ request }) => request),
        );
        for (const [id, { resolve }] of batch) resolve(claims.get(id));
      } catch (error) {
        for (const { reject } of batch.values()) reject(error as Error);
      }
    }
    running = false;
  };

  return (request: ClaimRequest): Promise<Claim> => {
    if (waiting.length >= MAX_WAITING)
      return Promise.reject(new Overloaded('too many operators connect at once'));
    return new Promise((resolve, reject) => {
      waiting.push({ request, resolve, reject });
      if (running) return;
      running = true;
      setTimeout(run, coalesceMs);
    });
  };
}

async function claimAll(pool: Pool, requests: ClaimRequest[]): Promise<Map<string, NonNullable<Claim>>> {
  const { rows } = await pool.query<Parameters<typeof toHead>[0] & { granted: boolean }>({
    name: 'feed_claim',
    text: CLAIM,
    values: [
      requests.map((request) => request.dataPlaneId),
      requests.map((request) => request.session),
      requests.map((request) => request.term),
      requests.map((request) => request.instance),
    ],
  });
  return new Map(rows.map((row) => [row.data_plane_id, { granted: row.granted, head: toHead(row) }]));
}

/** Of these keys, those that may not be used any more: revoked, or their data plane is gone. */
export async function findRevoked(pool: Pool, keyIds: string[]): Promise<Set<string>> {
  const { rows } = await pool.query<{ id: string }>(
    `SELECT w.id FROM unnest($1::text[]) AS w(id)
     LEFT JOIN felucca.operator_keys k ON k.id = w.id AND (k.revoked_at IS NULL OR k.revoked_at > now())
     LEFT JOIN felucca.data_planes p ON p.id = k.data_plane_id AND p.deleted_at IS NULL
     WHERE p.id IS NULL`,
    [keyIds],
  );
  return new Set(rows.map((row) => row.id));
}

export async function markSeen(pool: Pool, dataPlaneIds: string[]): Promise<void> {
  await pool.query('UPDATE felucca.data_planes SET last_seen_at = now() WHERE id = ANY($1::uuid[])', [
    dataPlaneIds,
  ]);
}
