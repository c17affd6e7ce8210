import { digestOf } from '@felucca/contract';
import { asFeed, type Database, type FeedTx, withPlatform, withTenant } from '../db/tenant.ts';
import type { RowSigner } from '../feed/signer.ts';
import { lockDataPlaneSpec } from '../resources/data-planes/held-queries.ts';
import { publishSettings } from '../resources/data-planes/publish-settings.ts';
import { commitToFeed, instanceSpec, instanceSubject } from '../resources/desired.ts';
import { isOvertaken, nextGeneration } from '../resources/generation.ts';
import { changesOf } from '../resources/instances/publish.ts';
import { liftInstance, lockInstance } from '../resources/instances/queries.ts';
import { organizationName } from '../resources/organizations/queries.ts';
import type { SignedRow } from '../resources/signing-keys/queries.ts';
import { isAsSigned } from '../resources/signing-keys/resign.ts';

export interface ReissueOptions {
  db: Database;
  signer: RowSigner;
}

type Overtaken = Omit<SignedRow, 'traceparent'>;

/** Per report; the others come with the next that tells of them. */
const MAX_AT_ONCE = 500;

/**
 * Somebody ordered under this epoch, when the cluster had told nobody yet that it is past the generation that the order
 * got. Its operator refused the row; the same order goes out again above what the cluster holds. What was ordered before
 * the epoch waits for a person, or for the next order. Nobody asks for this but the database itself, so it gets no
 * signature for anything that it had none for.
 * @returns how many rows were signed anew
 */
export async function reissueOvertaken(options: ReissueOptions, dataPlaneId: string): Promise<number> {
  const overtaken = await asFeed(options.db, (tx) => findOvertaken(tx, dataPlaneId));
  let reissued = 0;
  for (const row of overtaken.filter((one) => isAsSigned(options, one))) {
    const done = await (row.kind === 'Instance' ? reissueInstance : reissueDataPlane)(options, row);
    if (done) reissued += 1;
  }
  return reissued;
}

async function findOvertaken(tx: FeedTx, dataPlaneId: string): Promise<Overtaken[]> {
  const { rows } = await tx.query<Overtaken & Record<string, unknown>>({
    text: `SELECT d.tenant_id AS "tenantId", d.data_plane_id AS "dataPlaneId", d.kind, d.key, d.id,
                  d.generation::int, d.hash, d.spec, d.kid, d.sig, d.deleted_at IS NOT NULL AS deleted
             FROM felucca.unknown_objects u
             JOIN felucca.feed_heads h ON h.data_plane_id = u.data_plane_id AND h.epoch = u.epoch
             JOIN felucca.desired d
               ON d.data_plane_id = u.data_plane_id AND d.kind = u.kind AND d.key = u.key AND d.id = u.id
            WHERE u.data_plane_id = $1 AND d.kind IN ('Instance', 'DataPlane') AND d.generation < u.generation
              AND d.rev > h.epoch_base
            ORDER BY d.rev LIMIT $2`,
    values: [dataPlaneId, MAX_AT_ONCE],
  });
  return rows;
}

function reissueInstance({ db, signer }: ReissueOptions, signed: Overtaken): Promise<boolean> {
  const { tenantId, dataPlaneId, id, key, hash } = signed;
  return withTenant(db, tenantId, async (tx) => {
    const row = await lockInstance(tx, id);
    if (!row || !isOvertaken(row)) return false;
    const instance = { ...row, generation: nextGeneration(row) };
    const wish = row.deleted ? undefined : instanceSpec(instance);
    const organization = { id: tenantId, name: await organizationName(tx, tenantId) };
    const isSame =
      row.dataPlaneId === dataPlaneId &&
      instanceSubject(organization, instance).key === key &&
      (wish ? digestOf(wish) : '') === hash;
    if (!isSame) return false;
    await liftInstance(tx, id, row.generation, instance.generation);
    // Its Blueprint and Tenant went with the order, into the same feed.
    const changes = changesOf(organization, instance, wish, undefined, null);
    await commitToFeed(tx, signer, dataPlaneId, changes);
    return true;
  });
}

function reissueDataPlane({ db, signer }: ReissueOptions, signed: Overtaken): Promise<boolean> {
  const { dataPlaneId, hash } = signed;
  return withPlatform(db, async (tx) => {
    const before = await lockDataPlaneSpec(tx, dataPlaneId);
    if (!before || !isOvertaken(before) || digestOf(before.spec) !== hash) return false;
    await publishSettings(tx, signer, dataPlaneId, before.spec, nextGeneration(before));
    return true;
  });
}
