import type { FeedTx } from '../db/tenant.ts';
import { NEEDS, NOT_APPLIED } from './nacks.ts';

export interface Progress {
  state: string;
  /** Since the mutation was accepted, on the database's clock. */
  seconds: number;
}

/** As the index operations_unsettled has it. */
const UNSETTLED = `op.state IN ('accepted', 'delivered', 'applied', 'failed')`;

/**
 * An operation is delivered when the operator's durable cursor is past the row of its generation. Only
 * rows between the old and the new cursor can have become so.
 */
export async function moveToDelivered(
  tx: FeedTx,
  dataPlaneId: string,
  from: bigint,
  to: bigint,
): Promise<Progress[]> {
  if (to <= from) return [];
  const { rows } = await tx.query<{ state: string; seconds: string }>({
    text: `UPDATE felucca.operations op SET state = 'delivered', delivered_at = clock_timestamp()
           FROM felucca.desired d
           WHERE d.data_plane_id = $1 AND d.rev > $2 AND d.rev <= $3 AND d.kind = 'Instance'
             AND op.tenant_id = d.tenant_id AND op.data_plane_id = $1 AND op.instance_id = d.id::uuid
             AND op.generation <= d.generation AND op.state = 'accepted'
           RETURNING op.state, extract(epoch FROM clock_timestamp() - op.accepted_at)::text AS seconds`,
    values: [dataPlaneId, String(from), String(to)],
  });
  return rows.map(toProgress);
}

/** Stalled for these reasons heals when another object of the same feed arrives: no failure yet. */
const TRANSIENT = ['BlueprintNotFound', 'TenantNotReady'];

const MOVE_ON = `
  WITH seen AS (
    SELECT o.tenant_id, o.id, o.generation, o.deleted,
           jsonb_path_exists(o.conditions,
             '$[*] ? (@.type == "Ready" && (@.status == "True" || @.reason == "Suspended"))') AS settled,
           jsonb_path_query_first(o.conditions, '$[*] ? (@.type == "Stalled" && @.status == "True")') AS stalled,
           jsonb_path_query_first(o.conditions, '$[*] ? (@.type == "Ready")') AS ready,
           (SELECT ${NOT_APPLIED} FROM felucca.desired d JOIN felucca.nacks k ON k.data_plane_id = $1 AND ${NEEDS}
            WHERE d.tenant_id = o.tenant_id AND d.data_plane_id = $1 AND d.key = o.key AND d.id = o.id
            ORDER BY k.kind LIMIT 1) AS refused
    FROM felucca.observed o
    WHERE o.data_plane_id = $1 AND o.kind = 'Instance' AND NOT o.local AND o.id = ANY($2::text[])
  ), verdict AS (
    SELECT op.tenant_id, op.id, op.state AS before, op.message AS said, CASE
        WHEN op.kind = 'delete' AND s.deleted THEN 'ready'
        WHEN s.deleted THEN 'superseded'
        WHEN s.generation > op.generation AND s.settled THEN 'superseded'
        WHEN op.kind <> 'delete' AND s.generation = op.generation AND s.settled THEN 'ready'
        WHEN s.generation = op.generation AND s.stalled IS NOT NULL
             AND NOT (s.stalled ->> 'reason' = ANY($3::text[])) THEN 'failed'
        WHEN s.generation >= op.generation AND op.state <> 'failed' THEN 'applied'
        ELSE op.state END AS state,
      s.stalled, s.ready, s.refused
    FROM felucca.operations op JOIN seen s ON op.tenant_id = s.tenant_id AND op.instance_id = s.id::uuid
    -- Of most reports there is none. What failed can still become ready when somebody repairs the cause without a new
    -- generation.
    WHERE op.data_plane_id = $1 AND op.instance_id = ANY(($2::text[])::uuid[]) AND ${UNSETTLED}
  ), told AS (
    -- What failed says why, what is on its way says what it waits for, what is done says nothing, unless it runs
    -- from another Blueprint or Tenant than the control plane's.
    SELECT v.*, CASE v.state
        WHEN 'failed' THEN coalesce(left((v.stalled ->> 'reason') || ': ' || (v.stalled ->> 'message'), 2048), v.said)
        WHEN 'applied' THEN coalesce(v.refused, left((v.ready ->> 'reason') || ': ' || (v.ready ->> 'message'), 2048), '')
        WHEN 'ready' THEN coalesce(v.refused, '')
        ELSE '' END AS message
    FROM verdict v
  )
  UPDATE felucca.operations op SET
    state = v.state,
    delivered_at = coalesce(op.delivered_at, clock_timestamp()),
    applied_at = CASE WHEN v.state IN ('applied', 'ready') THEN coalesce(op.applied_at, clock_timestamp())
                      ELSE op.applied_at END,
    ready_at = CASE WHEN v.state = 'ready' THEN clock_timestamp() END,
    ended_at = CASE WHEN v.state IN ('ready', 'failed', 'superseded') THEN coalesce(op.ended_at, clock_timestamp()) END,
    message = v.message
  FROM told v
  WHERE op.tenant_id = v.tenant_id AND op.id = v.id
    AND (op.state <> v.state OR v.state IN ('applied', 'failed') AND op.message <> v.message)
  RETURNING v.before, op.state, extract(epoch FROM clock_timestamp() - op.accepted_at)::text AS seconds`;

/** Moves the operations of these Instances on to what has been observed; by set, in one statement. */
export async function moveOperationsOn(
  tx: FeedTx,
  dataPlaneId: string,
  instanceIds: string[],
): Promise<Progress[]> {
  if (instanceIds.length === 0) return [];
  const { rows } = await tx.query<{ before: string; state: string; seconds: string }>({
    text: MOVE_ON,
    values: [dataPlaneId, instanceIds, TRANSIENT],
  });
  return rows.filter(({ before, state }) => before !== state).map(toProgress);
}

const toProgress = (row: { state: string; seconds: string }): Progress => ({
  state: row.state,
  seconds: Number(row.seconds),
});
