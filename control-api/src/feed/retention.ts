import { counted } from '@felucca/contract';
import type { Pool } from 'pg';
import { asFeed } from '../db/tenant.ts';

/** Rows per table and run: the rest waits for the next run. */
const ROWS_PER_RUN = 1_000;

const OF_DELETED_DATA_PLANE = `t.data_plane_id IN (
  SELECT p.id FROM felucca.data_planes p WHERE p.deleted_at < now() - interval '7 days')`;

interface Sweep {
  table: string;
  by?: string;
  when: string;
}

/**
 * When a row may go; docs/operations.md tells the periods. In this order, because an Instance waits for its operations.
 * An unknown object has no age: the operator names it only with a snapshot, and it is there all the time, until a row
 * accounts for it.
 */
const SWEEPS: readonly Sweep[] = [
  // By its key: this role may read nothing of the answers that tenants got, so it may not read ctid.
  { table: 'idempotency_keys', by: 'tenant_id, key', when: `t.created_at < now() - interval '24 hours'` },
  { table: 'join_tokens', when: `t.expires_at < now() - interval '7 days'` },
  {
    table: 'observed',
    when: `t.deleted AND t.reported_at < now() - interval '7 days' AND NOT EXISTS (
      SELECT FROM felucca.desired d
      WHERE d.data_plane_id = t.data_plane_id AND d.kind = t.kind AND d.key = t.key AND d.id = t.id)`,
  },
  { table: 'operations', when: `t.ended_at < now() - interval '90 days'` },
  {
    table: 'instances',
    when: `t.deleted_at < now() - interval '90 days' AND NOT EXISTS (
      SELECT FROM felucca.operations o WHERE o.tenant_id = t.tenant_id AND o.instance_id = t.id)`,
  },
  {
    table: 'unknown_objects',
    when: `EXISTS (
      SELECT FROM felucca.desired d
      WHERE d.data_plane_id = t.data_plane_id AND d.kind = t.kind AND d.key = t.key AND d.id = t.id
        AND d.deleted_at IS NULL AND d.generation >= coalesce(t.generation, 0))`,
  },
  ...['observed', 'drift', 'nacks', 'unknown_objects', 'held_deletions'].map((table) => ({
    table,
    when: OF_DELETED_DATA_PLANE,
  })),
];

/**
 * Removes what is older than its period, a bounded part of each table per run.
 * Another process that is at it already is enough. A table that cannot be swept keeps no other one from it.
 * @throws AggregateError
 */
export async function sweepOldRows(
  pool: Pool,
  onSwept: (table: string, rows: number) => void,
  rows = ROWS_PER_RUN,
): Promise<void> {
  const failures: unknown[] = [];
  for (const sweep of SWEEPS) {
    const swept = await sweepOne(pool, sweep, rows).catch((error) => {
      failures.push(error);
      return 0;
    });
    if (swept > 0) onSwept(sweep.table, swept);
  }
  if (failures.length > 0) throw new AggregateError(failures, `${counted(failures.length, 'sweep')} failed`);
}

/**
 * Nobody is left to tell what became of what was asked of a deleted data plane: whoever waits for it hears that.
 * @returns operations ended
 */
export function endOperationsOfDeletedDataPlanes(pool: Pool, rows = ROWS_PER_RUN): Promise<number> {
  return asFeed({ feed: pool }, async (tx) => {
    const { rowCount } = await tx.query({
      text: `UPDATE felucca.operations op SET state = 'superseded', ended_at = clock_timestamp(),
               message = 'the data plane was deleted before it told what became of this'
             WHERE (op.tenant_id, op.id) IN (
               SELECT o.tenant_id, o.id FROM felucca.operations o
               JOIN felucca.data_planes p ON p.id = o.data_plane_id AND p.deleted_at IS NOT NULL
               WHERE o.state IN ('accepted', 'delivered', 'applied') LIMIT $1)`,
      values: [rows],
    });
    return rowCount ?? 0;
  });
}

function sweepOne(pool: Pool, { table, by = 'ctid', when }: Sweep, rows: number): Promise<number> {
  return asFeed({ feed: pool }, async (tx) => {
    const turn = await tx.query<{ ours: boolean }>({
      text: `SELECT pg_try_advisory_xact_lock(hashtextextended('felucca.retention', 0)) AS ours`,
    });
    if (!turn.rows[0]?.ours) return 0;
    // A row that changes meanwhile has another ctid, so it stays.
    const { rowCount } = await tx.query({
      text: `DELETE FROM felucca.${table} WHERE (${by}) IN (
               SELECT ${by} FROM felucca.${table} t WHERE ${when} LIMIT $1)`,
      values: [rows],
    });
    return rowCount ?? 0;
  });
}
