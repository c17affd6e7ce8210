import type { DriftItem } from '@felucca/contract';
import { type FeedTx, together } from '../db/tenant.ts';
import type { Rejection } from './status.ts';

/** Newest records kept per object; a fight with another controller must not fill the database. */
const KEPT_PER_OBJECT = 100;

const INSERT = `
  WITH i AS (
    SELECT i.*, coalesce(d.tenant_id, o.tenant_id) AS tenant_id
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                $10::text[], $11::timestamptz[]) WITH ORDINALITY
      AS i(kind, key, id, object, path, expected, actual, manager, action, detected_at, n)
    LEFT JOIN felucca.desired d ON d.data_plane_id = $1 AND d.kind = i.kind AND d.key = i.key AND d.id = i.id
    -- What has left the feed drifts from nothing, so only a local object is known by its status alone.
    LEFT JOIN felucca.observed o
      ON o.data_plane_id = $1 AND o.kind = i.kind AND o.key = i.key AND o.id = i.id AND o.local
  ), stored AS (
    INSERT INTO felucca.drift (tenant_id, data_plane_id, kind, key, object_id, object, path, expected, actual,
                               manager, action, detected_at)
    SELECT tenant_id, $1, kind, key, id, object, path, expected, actual, manager, action, detected_at
    FROM i WHERE tenant_id IS NOT NULL ORDER BY n
    ON CONFLICT DO NOTHING
  )
  SELECT kind, key FROM i WHERE tenant_id IS NULL ORDER BY n`;

const TRIM = `
  DELETE FROM felucca.drift t USING (
    SELECT r.tenant_id, r.id, row_number() OVER (PARTITION BY r.tenant_id, r.object_id ORDER BY r.id DESC) AS place
    FROM felucca.drift r WHERE r.data_plane_id = $1 AND r.object_id = ANY($2::text[])
  ) old
  WHERE t.tenant_id = old.tenant_id AND t.id = old.id AND old.place > $3`;

/** Records of drift; one that is known already (same object, path and time) changes nothing. */
export async function storeDrift(
  tx: FeedTx,
  dataPlaneId: string,
  items: readonly DriftItem[],
): Promise<Rejection[]> {
  const dated = items.filter((item) => isDate(item.detectedAt));
  const rejected: Rejection[] = items
    .filter((item) => !isDate(item.detectedAt))
    .map(({ kind, key }) => ({ kind, key, reason: 'detectedAt is not a date' }));
  if (dated.length === 0) return rejected;
  const inserted = tx.query<{ kind: string; key: string }>({
    text: INSERT,
    values: [
      dataPlaneId,
      dated.map((item) => item.kind),
      dated.map((item) => item.key),
      dated.map((item) => item.id),
      dated.map((item) => item.object),
      dated.map((item) => item.path),
      dated.map((item) => item.expected),
      dated.map((item) => item.actual),
      dated.map((item) => item.manager),
      dated.map((item) => item.action),
      dated.map((item) => item.detectedAt),
    ],
  });
  const trimmed = tx.query({
    text: TRIM,
    values: [dataPlaneId, [...new Set(dated.map((item) => item.id))], KEPT_PER_OBJECT],
  });
  const [{ rows }] = await together([inserted, trimmed]);
  return [
    ...rejected,
    ...rows.map((row) => ({ ...row, reason: 'drift of an object that this data plane does not have' })),
  ];
}

const isDate = (text: string): boolean => !Number.isNaN(Date.parse(text));
