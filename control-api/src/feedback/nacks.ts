import type { Nack } from '@felucca/contract';
import type { FeedTx } from '../db/tenant.ts';
import type { Rejection } from './status.ts';

/** Whether row `d` of an Instance needs the refused row `k`: its Blueprint or its Tenant. */
export const NEEDS = `d.kind = 'Instance' AND d.deleted_at IS NULL AND k.key = CASE k.kind
      WHEN 'Blueprint' THEN (d.spec #>> '{blueprintRef,name}') || '-' || replace(d.spec #>> '{blueprintRef,version}', '.', '-')
      WHEN 'Tenant' THEN split_part(d.key, '/', 1) END`;
/** What an operation says of it: the order may go on with what somebody else applied there. */
export const NOT_APPLIED = `left(k.kind || ' ' || k.key || ' is not applied here, ' || k.code || ': ' || k.message, 2048)`;

/** Of statements that change one row, Postgres carries out any one: `told` has the operations of refused Instances. */
const NOT_TOLD = `NOT EXISTS (SELECT FROM i own WHERE own.kind = 'Instance' AND own.id = d.id AND own.generation = op.generation)`;

const STORE_NACKS = `
  WITH i AS (
    SELECT i.*, d.tenant_id, d.id, d.generation
    FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::boolean[], $9::text[])
      WITH ORDINALITY AS i(kind, key, rev, hash, code, message, retryable, refused_id, n)
    -- A database that was put back has used the revision again, maybe for another row. The hash is that of what was sent: a
    -- tombstone has none, whatever somebody without a key made one of.
    LEFT JOIN felucca.desired d
      ON d.data_plane_id = $1 AND d.rev = i.rev AND d.kind = i.kind AND d.key = i.key
        AND d.id = coalesce(i.refused_id, d.id)
        AND CASE WHEN d.deleted_at IS NULL AND d.spec IS NOT NULL THEN left(d.hash, 80) ELSE '' END = i.hash
  ), stored AS (
    INSERT INTO felucca.nacks AS k (tenant_id, data_plane_id, kind, key, id, rev, hash, code, message, retryable)
    SELECT DISTINCT ON (tenant_id, kind, key, id) tenant_id, $1, kind, key, id, rev, hash, code, message, retryable
    FROM i WHERE tenant_id IS NOT NULL ORDER BY tenant_id, kind, key, id, rev DESC
    ON CONFLICT (tenant_id, data_plane_id, kind, key, id) DO UPDATE SET
      rev = excluded.rev, hash = excluded.hash, code = excluded.code, message = excluded.message,
      retryable = excluded.retryable, at = clock_timestamp()
      WHERE k.rev <= excluded.rev
  ), told AS (
    -- Whoever ordered it hears why; it has failed when no retry helps.
    UPDATE felucca.operations op SET
      state = CASE WHEN i.retryable THEN op.state ELSE 'failed' END,
      ended_at = CASE WHEN NOT i.retryable THEN clock_timestamp() END,
      delivered_at = CASE WHEN i.retryable THEN op.delivered_at ELSE coalesce(op.delivered_at, clock_timestamp()) END,
      message = left(i.code || ': ' || i.message, 2048)
    FROM i WHERE i.kind = 'Instance' AND op.tenant_id = i.tenant_id AND op.data_plane_id = $1
      AND op.instance_id = (CASE WHEN i.kind = 'Instance' THEN i.id END)::uuid AND op.generation = i.generation
      AND op.state IN ('accepted', 'delivered', 'applied')
  ), told_others AS (
    UPDATE felucca.operations op SET message = ${NOT_APPLIED}
    FROM i k JOIN felucca.desired d ON d.data_plane_id = $1 AND ${NEEDS}
    WHERE k.tenant_id IS NOT NULL AND op.tenant_id = d.tenant_id AND op.data_plane_id = $1
      AND op.instance_id = d.id::uuid AND op.state IN ('accepted', 'delivered', 'applied') AND ${NOT_TOLD}
  ), told_next AS (
    -- The next owner of a name waits for the same person.
    UPDATE felucca.operations op SET message = 'waits for the deletion of the Instance that had this name before, which is held'
    FROM i JOIN felucca.desired d
      ON d.data_plane_id = $1 AND d.tenant_id = i.tenant_id AND d.kind = i.kind AND d.key = i.key AND d.deleted_at IS NULL
    WHERE i.code = 'MASS_DELETE_HELD' AND i.kind = 'Instance' AND d.id <> i.id AND op.tenant_id = d.tenant_id
      AND op.data_plane_id = $1 AND op.instance_id = (CASE WHEN d.kind = 'Instance' THEN d.id END)::uuid
      AND op.state IN ('accepted', 'delivered', 'applied') AND ${NOT_TOLD}
  )
  SELECT kind, key FROM i WHERE tenant_id IS NULL ORDER BY n`;

/** A refused row never blocks the cursor: it is shown, and sent again only under a newer revision. */
export async function storeNacks(
  tx: FeedTx,
  dataPlaneId: string,
  nacks: readonly Nack[],
): Promise<Rejection[]> {
  if (nacks.length === 0) return [];
  const { rows } = await tx.query<{ kind: string; key: string }>({
    text: STORE_NACKS,
    values: [
      dataPlaneId,
      nacks.map((nack) => nack.kind),
      nacks.map((nack) => nack.key),
      nacks.map((nack) => nack.rev),
      nacks.map((nack) => nack.hash),
      nacks.map((nack) => nack.code),
      nacks.map((nack) => nack.message),
      nacks.map((nack) => nack.retryable),
      nacks.map((nack) => nack.id ?? null),
    ],
  });
  return rows.map((row) => ({ ...row, reason: 'this revision of the row is no longer in the feed' }));
}

/** A row that was applied is refused no more. */
export async function dropSettledNacks(tx: FeedTx, dataPlaneId: string, ids: string[]): Promise<void> {
  if (ids.length === 0) return;
  await tx.query({
    text: `DELETE FROM felucca.nacks k USING felucca.desired d, felucca.observed o
           WHERE k.data_plane_id = $1 AND d.data_plane_id = $1 AND o.data_plane_id = $1 AND d.id = ANY($2::text[])
             AND d.tenant_id = k.tenant_id AND d.kind = k.kind AND d.key = k.key AND d.id = k.id AND d.rev >= k.rev
             AND o.tenant_id = d.tenant_id AND o.kind = d.kind AND o.key = d.key AND o.id = d.id
             AND (o.generation = d.generation OR o.deleted)`,
    values: [dataPlaneId, ids],
  });
}
