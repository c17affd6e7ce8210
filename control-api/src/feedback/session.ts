import type { Report, ReportReply } from '@felucca/contract';
import { type FeedTx, together } from '../db/tenant.ts';

export interface LinkState {
  epoch: string;
  head: bigint;
  session: string;
  term: number;
  lastSeq: number;
  lastReply: ReportReply | null;
  /** 0 when nothing was acknowledged in this epoch. */
  acked: bigint;
  /** Whether rows of the feed were refused and not applied since. */
  hasNacks: boolean;
}

interface StateRow extends Record<string, unknown> {
  epoch: string;
  head: string;
  session: string | null;
  term: string | null;
  last_seq: string | null;
  last_reply: ReportReply | null;
  acked: string;
  has_nacks: boolean;
}

/** One report of a data plane at a time; the feed's counter stays free for tenants' transactions. */
export async function lockReports(tx: FeedTx, dataPlaneId: string): Promise<LinkState | undefined> {
  // Two statements: what the second sees is of after the lock.
  const [, { rows }] = await together([
    tx.query({
      text: `SELECT pg_advisory_xact_lock(hashtextextended('felucca.report ' || $1, 0))`,
      values: [dataPlaneId],
      isRead: true,
    }),
    tx.query<StateRow>({
      text: `SELECT h.epoch, h.head::text, s.session, s.term::text, s.last_seq::text, s.last_reply,
               (CASE WHEN s.acked_epoch = h.epoch THEN s.acked_cursor ELSE 0 END)::text AS acked,
               EXISTS (SELECT FROM felucca.nacks k WHERE k.data_plane_id = h.data_plane_id) AS has_nacks
             FROM felucca.feed_heads h LEFT JOIN felucca.feed_sessions s ON s.data_plane_id = h.data_plane_id
             WHERE h.data_plane_id = $1`,
      values: [dataPlaneId],
      isRead: true,
    }),
  ]);
  const [row] = rows;
  return (
    row && {
      epoch: row.epoch,
      head: BigInt(row.head),
      session: row.session ?? '',
      term: Number(row.term ?? 0),
      lastSeq: Number(row.last_seq ?? 0),
      lastReply: row.last_reply,
      acked: BigInt(row.acked),
      hasNacks: row.has_nacks,
    }
  );
}

/**
 * The report's last statement: counts it, but only if its session is still the current one. A session
 * that was superseded meanwhile makes the whole transaction void.
 */
export async function countReport(
  tx: FeedTx,
  dataPlaneId: string,
  report: Report,
  acked: bigint,
  reply: ReportReply,
): Promise<boolean> {
  const { rowCount } = await tx.query({
    text: `UPDATE felucca.feed_sessions s SET last_seq = $5, last_reply = $6, last_seen_at = now(),
             acked_cursor = $4, acked_epoch = $3,
             acked_at = CASE WHEN s.acked_epoch = $3 AND s.acked_cursor = $4 THEN s.acked_at ELSE now() END
           FROM felucca.feed_heads h
           WHERE s.data_plane_id = $1 AND s.session = $2 AND h.data_plane_id = $1 AND h.epoch = $3 AND s.last_seq < $5`,
    values: [dataPlaneId, report.session, report.epoch, String(acked), report.seq, JSON.stringify(reply)],
  });
  return rowCount === 1;
}
