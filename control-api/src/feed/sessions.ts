import type { Pool } from 'pg';
import { HEAD_COLUMNS, type Head, toHead } from './rows.ts';

export interface ClaimRequest {
  dataPlaneId: string;
  session: string;
  /** Whoever asks was authenticated with it. */
  keyId: string;
  /** Fencing term of the operator's Lease. */
  term: number;
  /** Name of the operator process, for people. */
  instance: string;
  /** Whoever asked has given up: a claim for it would end the stream that it opened since. */
  isOver: () => boolean;
}
/** `granted` false: a session of a higher rank holds the data plane. Undefined: it has no feed, or the asker is gone. */
export type Claim = { granted: boolean; head: Head } | undefined;

/**
 * A connection becomes the data plane's session. Sessions rank by when their key joined, then by term; of equals the newest
 * wins, a lower one never. The key comes first because a term is only what an operator says: whoever stole a key would say
 * the highest there is, and keep out the operator that has a new one. The session of a revoked key holds nothing.
 * The counter row comes back with it, so a hello is one statement, shared by all that arrive together:
 * 10,000 reconnects are a handful of statements and not 10,000.
 */
const CLAIM = `
  WITH want AS (
    SELECT w.*, k.created_at AS key_joined_at
    FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[])
      AS w(id, session, term, instance, key_id)
    JOIN felucca.operator_keys k ON k.id = w.key_id
  ), claimed AS (
    INSERT INTO felucca.feed_sessions AS s
      (data_plane_id, session, term, operator_instance, key_id, key_joined_at, last_seen_at)
    SELECT w.id, w.session, w.term, w.instance, w.key_id, w.key_joined_at, now()
    FROM want w JOIN felucca.feed_heads h ON h.data_plane_id = w.id ORDER BY w.id
    ON CONFLICT (data_plane_id) DO UPDATE SET
      session = excluded.session, term = excluded.term, operator_instance = excluded.operator_instance,
      key_id = excluded.key_id, key_joined_at = excluded.key_joined_at,
      started_at = now(), last_seen_at = now(), ended_at = NULL, last_seq = 0, last_reply = NULL
      WHERE (s.key_joined_at, s.term) <= (excluded.key_joined_at, excluded.term)
        OR EXISTS (SELECT FROM felucca.operator_keys k WHERE k.id = s.key_id AND k.revoked_at <= now())
    RETURNING s.data_plane_id
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
        if (entry.request.isOver()) entry.resolve(undefined);
        else if (batch.size < BATCH && !batch.has(entry.request.dataPlaneId))
          batch.set(entry.request.dataPlaneId, entry);
        else later.push(entry);
      waiting = later;
      if (batch.size === 0) continue;
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
      requests.map((request) => request.keyId),
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

/** A session and its data plane. */
export interface HeldSession {
  dataPlaneId: string;
  session: string;
}

/** Locks by id, as claims do: two statements over many rows must not wait for each other crosswise. */
const updateHeld = (set: string): string => `
  WITH held AS (
    SELECT s.data_plane_id
    FROM unnest($1::uuid[], $2::text[]) AS w(id, session)
    JOIN felucca.feed_sessions s ON s.data_plane_id = w.id AND s.session = w.session
    ORDER BY s.data_plane_id FOR NO KEY UPDATE OF s
  )
  UPDATE felucca.feed_sessions s SET ${set} FROM held WHERE s.data_plane_id = held.data_plane_id`;
const MARK_SEEN = updateHeld('last_seen_at = now()');
const END = updateHeld('ended_at = now(), last_seen_at = now()');

const heldValues = (held: readonly HeldSession[]): unknown[] => [
  held.map((one) => one.dataPlaneId),
  held.map((one) => one.session),
];

/** Their streams are open. A session that another one has replaced stays as it is. */
export async function markSeen(pool: Pool, held: readonly HeldSession[]): Promise<void> {
  await pool.query(MARK_SEEN, heldValues(held));
}

/** Their streams have ended. A session that another one has replaced stays as it is. */
export async function endSessions(pool: Pool, held: readonly HeldSession[]): Promise<void> {
  await pool.query(END, heldValues(held));
}
