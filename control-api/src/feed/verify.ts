import { formatDigest } from '@felucca/contract';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { asFeed } from '../db/tenant.ts';
import type { FeedMetrics } from './metrics.ts';
import { type Head, readBucketDigests } from './rows.ts';
import { createSlots } from './slots.ts';

/** Each reads every live row of a data plane. */
const AT_ONCE = 4;

export interface Digests {
  head: Head;
  buckets: string[];
}

/**
 * What an operator compares its rows with when the digests differ. The rows decide: a counter whose digest is not theirs is
 * set right first, or both sides would look for a difference that there is not.
 */
export function createDigests(options: { pool: Pool; metrics: FeedMetrics; logger: Logger }) {
  const { pool, metrics, logger } = options;
  const inSlot = createSlots(AT_ONCE);
  return (dataPlaneId: string): Promise<Digests | undefined> =>
    inSlot(async () => {
      const found = await readBucketDigests(pool, dataPlaneId);
      if (!found || digestOfAll(found.buckets) === found.head.digest) return found;
      metrics.corrected.inc();
      logger.error(
        { dataPlaneId, head: String(found.head.head), digest: found.head.digest },
        'the counter of a data plane had another digest than its rows, and is set right; who writes rows beside feed_commit?',
      );
      await recount(pool, dataPlaneId);
      return readBucketDigests(pool, dataPlaneId);
    });
}

const digestOfAll = (buckets: readonly string[]): string =>
  formatDigest(buckets.reduce((all, digest) => all ^ BigInt(`0x${digest}`), 0n));

const RECOUNT = `
  UPDATE felucca.feed_heads h
  SET digest_a = coalesce(r.a, 0), digest_b = coalesce(r.b, 0), live_count = r.live,
      live_instances = r.instances
  FROM (SELECT bit_xor(t.a) AS a, bit_xor(t.b) AS b, count(*)::int AS live,
               count(*) FILTER (WHERE d.kind = 'Instance')::int AS instances
        FROM felucca.desired d, felucca.row_digest(d.kind, d.key, d.id, d.rev, d.generation, d.hash) t
        WHERE d.data_plane_id = $1 AND d.deleted_at IS NULL) r
  WHERE h.data_plane_id = $1`;

const recount = (pool: Pool, dataPlaneId: string): Promise<unknown> =>
  asFeed({ feed: pool }, async (tx) => {
    // No writer between the rows and what is kept of them.
    await tx.query({
      text: 'SELECT FROM felucca.feed_heads WHERE data_plane_id = $1 FOR UPDATE',
      values: [dataPlaneId],
    });
    await tx.query({ text: RECOUNT, values: [dataPlaneId] });
  });
