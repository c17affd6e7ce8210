import type { FeedTx } from '../db/tenant.ts';
import type { StatusRow } from './status.ts';

/** With the status that they came with, if that is the newest: one that tells none takes none away, but an end does. */
export async function storeSealedOutputs(
  tx: FeedTx,
  dataPlaneId: string,
  session: string,
  rows: readonly StatusRow[],
): Promise<void> {
  const sealed = rows.filter(({ item }) => (item.sealedOutputs !== undefined && !item.local) || item.deleted);
  if (sealed.length === 0) return;
  const items = sealed.map(({ item }) => item);
  await tx.query({
    text: `UPDATE felucca.observed o SET sealed_outputs = i.sealed
           FROM unnest($3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::jsonb[])
             AS i(tenant_id, key, id, generation, observed_seq, sealed)
           WHERE o.tenant_id = i.tenant_id AND o.data_plane_id = $1 AND o.kind = 'Instance' AND o.key = i.key
             AND o.id = i.id AND o.session = $2 AND o.generation = i.generation AND o.observed_seq = i.observed_seq`,
    values: [
      dataPlaneId,
      session,
      sealed.map(({ tenantId }) => tenantId),
      items.map((item) => item.key),
      items.map((item) => item.id),
      items.map((item) => item.generation),
      items.map((item) => item.observedSeq),
      items.map((item) => JSON.stringify(item.deleted ? {} : item.sealedOutputs)),
    ],
  });
}
