import { digestOf, type HeldObject, MAX_HELD_SPEC_BYTES, type StatusItem } from '@felucca/contract';
import { type FeedTx, PLATFORM_TENANT } from '../db/tenant.ts';
import type { RowSigner } from '../feed/signer.ts';

/** Per data plane. What does not fit is told again when its operator starts, or under the next epoch. */
const MAX_UNKNOWN = 10_000;

/** What is believed of an object in a cluster: of its row only what this control plane once signed itself. */
interface Believed {
  kind: string;
  key: string;
  id: string;
  generation: number | null;
  hash: string | null;
  spec: string | null;
}

/**
 * A data plane could tell anything. Generation and spec count only with the signature that they were ordered with, for
 * this data plane, this name and this id: so it can give back what it was given, and nothing else.
 */
export function believe(
  signer: Pick<RowSigner, 'wasSigned'>,
  dataPlaneId: string,
  object: HeldObject,
): Believed {
  const { kind, key, id, generation, hash, kid = '', sig = '', spec } = object;
  const nothing = { kind, key, id, generation: null, hash: null, spec: null };
  if (generation === undefined || hash === undefined) return nothing;
  const row = { dataPlaneId, kind, key, id, generation, hash, deleted: false };
  if (!signer.wasSigned(row, kid, sig)) return nothing;
  const text = spec !== undefined && digestOf(spec) === hash ? JSON.stringify(spec) : null;
  const fits = text !== null && Buffer.byteLength(text) <= MAX_HELD_SPEC_BYTES;
  return { kind, key, id, generation, hash, spec: fits ? text : null };
}

// Whose it is may be known better than at the last time, so an old entry goes first. What was told under an epoch that
// is over goes, too: under each new one everything is told again.
const FORGET = `
  DELETE FROM felucca.unknown_objects u
  WHERE u.data_plane_id = $1 AND (u.epoch <> $2
    OR (u.kind, u.key, u.id) IN (SELECT * FROM unnest($3::text[], $4::text[], $5::text[])))
  RETURNING kind, key, id, since, generation::text`;

const STORE = `
  INSERT INTO felucca.unknown_objects (tenant_id, data_plane_id, kind, key, id, epoch, generation, hash, spec, since)
  SELECT DISTINCT ON (i.kind, i.key, i.id) coalesce(d.tenant_id, o.tenant_id, g.id, $3::uuid), $1, i.kind, i.key, i.id, $2,
         i.generation, i.hash, i.spec, coalesce(i.since, clock_timestamp())
  FROM unnest($4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::jsonb[], $10::timestamptz[])
    AS i(kind, key, id, generation, hash, spec, since)
  LEFT JOIN felucca.desired d ON d.data_plane_id = $1 AND d.kind = i.kind AND d.key = i.key AND d.id = i.id
  LEFT JOIN felucca.observed o ON o.data_plane_id = $1 AND o.kind = i.kind AND o.key = i.key AND o.id = i.id
  LEFT JOIN felucca.organizations g
    ON i.kind IN ('Tenant', 'Instance') AND g.name = split_part(i.key, '/', 1) AND g.deleted_at IS NULL
  WHERE (SELECT count(*) FROM felucca.unknown_objects u WHERE u.data_plane_id = $1) < $11
  ORDER BY i.kind, i.key, i.id, i.generation DESC NULLS LAST`;

/** Objects that the feed does not account for: shown under their organization, else to the platform. */
export async function storeUnknown(
  tx: FeedTx,
  dataPlaneId: string,
  epoch: string,
  objects: readonly Believed[],
): Promise<void> {
  if (objects.length === 0) return;
  const kinds = objects.map((object) => object.kind);
  const keys = objects.map((object) => object.key);
  const ids = objects.map((object) => object.id);
  const former = await tx.query<{ kind: string; key: string; id: string; since: Date }>({
    text: FORGET,
    values: [dataPlaneId, epoch, kinds, keys, ids],
  });
  const since = new Map(former.rows.map((row) => [nameOf(row), row.since]));
  await tx.query({
    text: STORE,
    values: [
      dataPlaneId,
      epoch,
      PLATFORM_TENANT,
      kinds,
      keys,
      ids,
      objects.map((object) => object.generation),
      objects.map((object) => object.hash),
      objects.map((object) => object.spec),
      objects.map((object) => since.get(nameOf(object)) ?? null),
      MAX_UNKNOWN,
    ],
  });
}

/** What is gone from the cluster is no orphan any more. @returns those that were listed */
export async function forgetUnknown(
  tx: FeedTx,
  dataPlaneId: string,
  items: readonly StatusItem[],
): Promise<(item: { kind: string; key: string }) => boolean> {
  const ended = items.filter((item) => item.deleted);
  if (ended.length === 0) return () => false;
  const { rows } = await tx.query<{ kind: string; key: string }>({
    text: `DELETE FROM felucca.unknown_objects u USING unnest($2::text[], $3::text[], $4::text[]) AS i(kind, key, id)
           WHERE u.data_plane_id = $1 AND u.kind = i.kind AND u.key = i.key AND u.id = i.id
           RETURNING u.kind, u.key`,
    values: [
      dataPlaneId,
      ended.map((item) => item.kind),
      ended.map((item) => item.key),
      ended.map((item) => item.id),
    ],
  });
  const names = new Set(rows.map((row) => `${row.kind}/${row.key}`));
  return (item) => names.has(`${item.kind}/${item.key}`);
}

const nameOf = ({ kind, key, id }: { kind: string; key: string; id: string }): string =>
  JSON.stringify([kind, key, id]);
