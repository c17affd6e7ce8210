import { BUCKETS, EMPTY_DIGEST, FEED_KINDS } from '@felucca/contract';
import type { Pool } from 'pg';

/** A data plane's counter row. */
export interface Head {
  dataPlaneId: string;
  epoch: string;
  head: bigint;
  compacted: bigint;
  /** 32 hex digits, as contract's formatDigest. */
  digest: string;
  count: number;
  /** Session that holds the data plane, '' before the first. */
  session: string;
}

export interface FeedRow {
  kind: (typeof FEED_KINDS)[number];
  key: string;
  id: string;
  rev: string;
  generation: number;
  hash: string;
  /** JSON text as Postgres prints it: it goes into a frame unparsed. Null for a tombstone. */
  spec: string | null;
  kid: string;
  sig: string;
  traceparent: string | null;
  deleted: boolean;
  /** Seconds between the row's commit and this read, both on the database's clock. */
  age: number;
}

export interface Page {
  head: Head;
  rows: FeedRow[];
  /** More rows follow this page. */
  more: boolean;
}

export interface PageLimits {
  rows: number;
  bytes: number;
}

interface HeadColumns {
  data_plane_id: string;
  epoch: string;
  head: string;
  compacted: string;
  digest_a: string;
  digest_b: string;
  live_count: number;
  session: string | null;
}

interface RowColumns extends HeadColumns {
  kind: FeedRow['kind'] | null;
  key: string;
  id: string;
  rev: string;
  generation: string;
  hash: string;
  spec: string | null;
  kid: string;
  sig: string;
  traceparent: string | null;
  deleted: boolean;
  age: string;
  fetched: string;
}

export const HEAD_COLUMNS = `h.data_plane_id, h.epoch, h.head::text, h.compacted::text,
  h.digest_a::text, h.digest_b::text, h.live_count`;

const ROW_COLUMNS = `d.kind, d.key, d.id, d.rev, d.generation, d.hash, d.spec::text AS spec, d.kid, d.sig,
  d.traceparent, d.deleted_at IS NOT NULL AS deleted,
  extract(epoch FROM clock_timestamp() - d.committed_at)::text AS age`;

const half = (text: string): string => BigInt.asUintN(64, BigInt(text)).toString(16).padStart(16, '0');

export function toHead(row: HeadColumns): Head {
  return {
    dataPlaneId: row.data_plane_id,
    epoch: row.epoch,
    head: BigInt(row.head),
    compacted: BigInt(row.compacted),
    digest: half(row.digest_a) + half(row.digest_b),
    count: row.live_count,
    session: row.session ?? '',
  };
}

function toFeedRow(row: RowColumns): FeedRow {
  return { ...row, kind: row.kind!, generation: Number(row.generation), age: Math.max(0, Number(row.age)) };
}

/**
 * Heads and the rows above each cursor, for many data planes in one statement, hence one snapshot.
 * The size of a page is cut in SQL, so that a full feed never has to fit into this process.
 */
const DELTAS = `
  SELECT ${HEAD_COLUMNS}, s.session, d.*
  FROM unnest($1::uuid[], $2::bigint[]) AS want(id, since)
  JOIN felucca.feed_heads h ON h.data_plane_id = want.id
  LEFT JOIN felucca.feed_sessions s ON s.data_plane_id = want.id
  LEFT JOIN LATERAL (
    SELECT p.*, count(*) OVER () AS fetched,
           sum(coalesce(octet_length(p.spec), 0) + 300) OVER (ORDER BY p.rev)
             - coalesce(octet_length(p.spec), 0) - 300 AS bytes_before
    FROM (
      SELECT ${ROW_COLUMNS} FROM felucca.desired d
      WHERE d.data_plane_id = want.id AND d.rev > want.since
      ORDER BY d.rev LIMIT $3
    ) p
  ) d ON d.bytes_before < $4
  ORDER BY want.id, d.rev`;

export async function readDeltas(
  pool: Pool,
  wants: { dataPlaneId: string; since: bigint }[],
  limits: PageLimits,
): Promise<Map<string, Page>> {
  const { rows } = await pool.query<RowColumns>({
    name: 'feed_deltas',
    text: DELTAS,
    values: [
      wants.map((want) => want.dataPlaneId),
      wants.map((want) => String(want.since)),
      limits.rows,
      limits.bytes,
    ],
  });
  const pages = new Map<string, Page>();
  const fetched = new Map<string, number>();
  for (const row of rows) {
    let page = pages.get(row.data_plane_id);
    if (!page) {
      page = { head: toHead(row), rows: [], more: false };
      pages.set(row.data_plane_id, page);
    }
    if (row.kind === null) continue;
    page.rows.push(toFeedRow(row));
    fetched.set(row.data_plane_id, Number(row.fetched));
  }
  for (const [id, page] of pages) {
    const found = fetched.get(id) ?? 0;
    page.more = found === limits.rows || page.rows.length < found;
  }
  return pages;
}

/** Bucket of a key in a data plane's digest; contract's `bucketOf` is the same in TypeScript. */
const BUCKET = `get_byte(sha256(convert_to(d.kind || E'\\n' || d.key, 'UTF8')), 0)`;

/** Where a snapshot goes on: rank of the kind in FEED_KINDS, then (key, id). */
export interface SnapshotPosition {
  rank: number;
  key: string;
  id: string;
}
export const SNAPSHOT_START: SnapshotPosition = { rank: 1, key: '', id: '' };

const SNAPSHOT = `
  SELECT ${HEAD_COLUMNS}, s.session, p.*
  FROM felucca.feed_heads h
  LEFT JOIN felucca.feed_sessions s ON s.data_plane_id = h.data_plane_id
  LEFT JOIN LATERAL (
    SELECT q.*, count(*) OVER () AS fetched,
           sum(coalesce(octet_length(q.spec), 0) + 300) OVER (ORDER BY q.rank, q.key, q.id)
             - coalesce(octet_length(q.spec), 0) - 300 AS bytes_before
    FROM (
      SELECT k.rank, r.*
      FROM unnest($2::text[]) WITH ORDINALITY AS k(kind, rank)
      CROSS JOIN LATERAL (
        SELECT ${ROW_COLUMNS} FROM felucca.desired d
        WHERE d.data_plane_id = $1 AND d.kind = k.kind AND d.deleted_at IS NULL
          AND ($8::bytea IS NULL OR get_bit($8, ${BUCKET}) = 1)
          AND (d.key, d.id) > (CASE WHEN k.rank = $3 THEN $4::text ELSE '' END,
                               CASE WHEN k.rank = $3 THEN $5::text ELSE '' END)
        ORDER BY d.key, d.id LIMIT $6
      ) r
      WHERE k.rank >= $3
      ORDER BY k.rank, r.key, r.id LIMIT $6
    ) q
  ) p ON p.bytes_before < $7
  WHERE h.data_plane_id = $1
  ORDER BY p.rank, p.key, p.id`;

/** One page of live rows by key, of these buckets or of all, tombstones follow; what changes meanwhile has a revision above `at` and comes with the tail. */
export async function readSnapshot(
  pool: Pool,
  dataPlaneId: string,
  after: SnapshotPosition,
  limits: PageLimits,
  repair?: string,
): Promise<(Page & { next: SnapshotPosition }) | undefined> {
  const { rows } = await pool.query<RowColumns & { rank: string }>({
    name: 'feed_snapshot',
    text: SNAPSHOT,
    values: [
      dataPlaneId,
      FEED_KINDS,
      after.rank,
      after.key,
      after.id,
      limits.rows,
      limits.bytes,
      repair === undefined ? null : Buffer.from(repair, 'hex'),
    ],
  });
  const [first] = rows;
  const last = rows.at(-1);
  if (!first || !last) return undefined;
  if (first.kind === null) return { head: toHead(first), rows: [], more: false, next: after };
  const fetched = Number(first.fetched);
  return {
    head: toHead(first),
    rows: rows.map(toFeedRow),
    more: fetched === limits.rows || rows.length < fetched,
    next: { rank: Number(last.rank), key: last.key, id: last.id },
  };
}

const TOMBSTONES = `
  SELECT ${HEAD_COLUMNS}, s.session, d.*
  FROM felucca.feed_heads h
  LEFT JOIN felucca.feed_sessions s ON s.data_plane_id = h.data_plane_id
  LEFT JOIN LATERAL (
    SELECT ${ROW_COLUMNS} FROM felucca.desired d
    WHERE d.data_plane_id = $1 AND d.deleted_at IS NOT NULL AND d.rev > $2 AND d.rev <= $3
    ORDER BY d.rev LIMIT $4
  ) d ON true
  WHERE h.data_plane_id = $1
  ORDER BY d.rev`;

/**
 * One page of tombstones in (since, at]. They end a snapshot: what it does not name the operator only reports, so
 * whoever was away while something was deleted must still be told by name.
 */
export async function readTombstones(
  pool: Pool,
  dataPlaneId: string,
  since: bigint,
  at: bigint,
  limits: PageLimits,
): Promise<Page | undefined> {
  const { rows } = await pool.query<RowColumns>({
    name: 'feed_tombstones',
    text: TOMBSTONES,
    values: [dataPlaneId, String(since), String(at), limits.rows],
  });
  const [first] = rows;
  if (!first) return undefined;
  const found = first.kind === null ? [] : rows.map(toFeedRow);
  return { head: toHead(first), rows: found, more: found.length === limits.rows };
}

const BUCKET_DIGESTS = `
  SELECT ${HEAD_COLUMNS}, s.session, b.bucket, b.a::text, b.b::text
  FROM felucca.feed_heads h
  LEFT JOIN felucca.feed_sessions s ON s.data_plane_id = h.data_plane_id
  LEFT JOIN LATERAL (
    SELECT ${BUCKET} AS bucket, bit_xor(t.a) AS a, bit_xor(t.b) AS b
    FROM felucca.desired d, felucca.row_digest(d.kind, d.key, d.id, d.rev, d.generation, d.hash) t
    WHERE d.data_plane_id = h.data_plane_id AND d.deleted_at IS NULL
    GROUP BY 1
  ) b ON true
  WHERE h.data_plane_id = $1`;

/** The digest of each bucket, from the rows themselves, and the head that belongs to them. */
export async function readBucketDigests(
  pool: Pool,
  dataPlaneId: string,
): Promise<{ head: Head; buckets: string[] } | undefined> {
  const { rows } = await pool.query<HeadColumns & { bucket: number | null; a: string; b: string }>({
    name: 'feed_bucket_digests',
    text: BUCKET_DIGESTS,
    values: [dataPlaneId],
  });
  const [first] = rows;
  if (!first) return undefined;
  const buckets = Array.from({ length: BUCKETS }, () => EMPTY_DIGEST);
  for (const { bucket, a, b } of rows) if (bucket !== null) buckets[bucket] = half(a) + half(b);
  return { head: toHead(first), buckets };
}

const HEADS = `
  SELECT ${HEAD_COLUMNS}, s.session
  FROM felucca.feed_heads h LEFT JOIN felucca.feed_sessions s ON s.data_plane_id = h.data_plane_id
  WHERE h.data_plane_id = ANY($1::uuid[])`;

export async function readHeads(pool: Pool, dataPlaneIds: string[]): Promise<Head[]> {
  const { rows } = await pool.query<HeadColumns>({ name: 'feed_heads', text: HEADS, values: [dataPlaneIds] });
  return rows.map(toHead);
}
