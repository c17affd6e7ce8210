import type { Condition, Output, StatusItem } from '@felucca/contract';
import { type FeedTx, together } from '../db/tenant.ts';
import { judge, type Known, organizationOf } from './verdict.ts';

export interface Rejection {
  kind: string;
  key: string;
  reason: string;
}

// One row per item, by its number: an id may be known under a former organization of the same name, too. What a Blueprint
// marks as sensitive is read once for all Instances of it.
const LOOK_UP = `
  WITH found AS (
    SELECT i.n::int, i.organization, d.tenant_id AS desired_tenant, d.generation::text AS desired_generation,
           o.tenant_id AS observed_tenant, o.local AS observed_local, o.reported_at,
           CASE WHEN i.kind = 'Instance' THEN
             (d.spec #>> '{blueprintRef,name}') || '-' || replace(d.spec #>> '{blueprintRef,version}', '.', '-')
           END AS blueprint
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY AS i(kind, key, id, organization, n)
    LEFT JOIN felucca.desired d
      ON d.data_plane_id = $1 AND d.kind = i.kind AND d.key = i.key AND d.id = i.id
    LEFT JOIN felucca.observed o
      ON o.data_plane_id = $1 AND o.kind = i.kind AND o.key = i.key AND o.id = i.id
  ), secret AS (
    SELECT bp.key, array_agg(out.key) AS names
    FROM felucca.desired bp, jsonb_each(bp.spec -> 'outputs') AS out
    WHERE bp.data_plane_id = $1 AND bp.kind = 'Blueprint' AND bp.deleted_at IS NULL
      AND bp.key IN (SELECT blueprint FROM found) AND out.value -> 'sensitive' = 'true'::jsonb
    GROUP BY bp.key
  )
  SELECT DISTINCT ON (f.n) f.n, f.desired_tenant, f.desired_generation, f.observed_tenant, f.observed_local,
         g.id AS organization, s.names AS sensitive
  FROM found f
  LEFT JOIN felucca.organizations g ON g.name = f.organization AND g.deleted_at IS NULL
  LEFT JOIN secret s ON s.key = f.blueprint
  ORDER BY f.n, f.observed_tenant IS NOT DISTINCT FROM coalesce(f.desired_tenant, g.id) DESC, f.reported_at DESC`;

export interface StatusRow {
  tenantId: string;
  item: StatusItem;
}

/**
 * Decides item by item who it belongs to. A data plane speaks only about rows of its own feed, never
 * about a generation that was not asked for, and about local objects only under an organization that exists.
 */
export async function judgeStatus(
  tx: FeedTx,
  dataPlaneId: string,
  items: readonly StatusItem[],
): Promise<{ accepted: StatusRow[]; rejected: Rejection[] }> {
  const accepted: StatusRow[] = [];
  const rejected: Rejection[] = [];
  const newest = newestPerObject(items);
  if (newest.length === 0) return { accepted, rejected };
  const { rows } = await tx.query<Known & { n: number } & Record<string, unknown>>({
    text: LOOK_UP,
    values: [
      dataPlaneId,
      newest.map((item) => item.kind),
      newest.map((item) => item.key),
      newest.map((item) => item.id),
      newest.map((item) => organizationOf(item)),
    ],
  });
  const byNumber = new Map(rows.map((row) => [row.n, row]));
  for (const [index, item] of newest.entries()) {
    const known = byNumber.get(index + 1);
    const verdict = judge(item, known);
    if ('reason' in verdict) rejected.push({ kind: item.kind, key: item.key, reason: verdict.reason });
    else
      accepted.push({ tenantId: verdict.tenantId, item: withSensitiveOutputs(item, known?.sensitive ?? []) });
  }
  return { accepted, rejected };
}

/** What this version does not call sensitive is not kept sealed: it may be a late word of the version before. */
function withSensitiveOutputs(item: StatusItem, sensitive: readonly string[]): StatusItem {
  if (!item.sealedOutputs) return item;
  const kept = Object.entries(item.sealedOutputs).filter(([name]) => sensitive.includes(name));
  return { ...item, sealedOutputs: Object.fromEntries(kept) };
}

/** One upsert cannot touch a row twice. */
function newestPerObject(items: readonly StatusItem[]): StatusItem[] {
  const newest = new Map<string, StatusItem>();
  for (const item of items) {
    const name = `${item.kind}\n${item.key}\n${item.id}`;
    const other = newest.get(name);
    if (!other || isNewer(item, other)) newest.set(name, item);
  }
  return [...newest.values()];
}
const isNewer = (a: StatusItem, b: StatusItem): boolean =>
  a.generation === b.generation ? a.observedSeq > b.observedSeq : a.generation > b.generation;

const UPSERT = `
  INSERT INTO felucca.observed AS o (tenant_id, data_plane_id, kind, key, id, local, generation, session,
    observed_seq, digest, conditions, outputs, blueprint, drift_count, deleted)
  SELECT i.tenant_id, $1, i.kind, i.key, i.id, i.local, i.generation, $2, i.observed_seq, i.digest,
         i.conditions, i.outputs, i.blueprint, i.drift_count, i.deleted
  FROM ROWS FROM (
      unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::boolean[], $8::bigint[], $9::bigint[],
             $10::text[], $11::text[], $12::int[], $13::boolean[]),
      -- Two texts and not two arrays of them: quoted once more, they would be twice as long to write and to read.
      jsonb_array_elements($14::jsonb), jsonb_array_elements($15::jsonb))
    AS i(tenant_id, kind, key, id, local, generation, observed_seq, digest, blueprint, drift_count, deleted,
         conditions, outputs)
  ORDER BY i.tenant_id, i.kind, i.key, i.id
  ON CONFLICT (tenant_id, data_plane_id, kind, key, id) DO UPDATE SET
    local = excluded.local, generation = excluded.generation, session = excluded.session,
    observed_seq = excluded.observed_seq, digest = excluded.digest, conditions = excluded.conditions,
    outputs = excluded.outputs, blueprint = excluded.blueprint, drift_count = excluded.drift_count,
    deleted = excluded.deleted, reported_at = clock_timestamp()
    -- A later session speaks after an earlier one, whatever its counter says; the generation decides before.
    WHERE excluded.generation > o.generation
       OR (excluded.generation = o.generation
           AND (excluded.session <> o.session OR excluded.observed_seq > o.observed_seq))
       -- An older end is that of an object that has been made anew since.
       OR (excluded.generation = o.generation AND excluded.deleted AND NOT o.deleted)`;

/** Newest wins by (generation, session, observedSeq): a repeated or late item changes nothing. */
export async function storeStatus(
  tx: FeedTx,
  dataPlaneId: string,
  session: string,
  rows: readonly StatusRow[],
): Promise<void> {
  if (rows.length === 0) return;
  const items = rows.map((row) => row.item);
  const stored = tx.query({
    text: UPSERT,
    values: [
      dataPlaneId,
      session,
      rows.map((row) => row.tenantId),
      items.map((item) => item.kind),
      items.map((item) => item.key),
      items.map((item) => item.id),
      items.map((item) => item.local),
      items.map((item) => item.generation),
      items.map((item) => item.observedSeq),
      items.map((item) => item.digest),
      items.map((item) => item.blueprint ?? null),
      items.map((item) => item.driftCount ?? 0),
      items.map((item) => item.deleted ?? false),
      JSON.stringify(items.map((item): Condition[] => item.conditions)),
      JSON.stringify(items.map((item): Record<string, Output> => item.outputs ?? {})),
    ],
  });
  // Sent at once, so that what its caller sends next comes after both.
  await together([stored, forgetEnded(tx, dataPlaneId, items)]);
}

/** A local object that is gone leaves nothing to show. */
async function forgetEnded(tx: FeedTx, dataPlaneId: string, items: readonly StatusItem[]): Promise<void> {
  const ended = items.filter((item) => item.deleted);
  if (ended.length === 0) return;
  const objects = [
    dataPlaneId,
    ended.map((item) => item.kind),
    ended.map((item) => item.key),
    ended.map((item) => item.id),
  ];
  await tx.query({
    text: `WITH gone AS (
             DELETE FROM felucca.observed o USING unnest($2::text[], $3::text[], $4::text[]) AS i(kind, key, id)
             WHERE o.data_plane_id = $1 AND o.kind = i.kind AND o.key = i.key AND o.id = i.id AND o.local AND o.deleted
             RETURNING o.kind, o.key, o.id
           )
           DELETE FROM felucca.drift t USING gone
           WHERE t.data_plane_id = $1 AND t.object_id = gone.id AND t.kind = gone.kind AND t.key = gone.key`,
    values: objects,
  });
}
