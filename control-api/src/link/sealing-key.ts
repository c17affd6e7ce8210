import { canonicalJson, sealingKeyId } from '@felucca/contract';
import type { KeyedHash } from '../db/keyed-hash.ts';
import { PLATFORM_TENANT, type Transaction } from '../db/tenant.ts';

const proofOf = (hash: KeyedHash, dataPlaneId: string, key: string): string =>
  hash('sealing key', canonicalJson([dataPlaneId, key]));

/** Keeps the key that an operator tells of itself, with a proof; told again it changes nothing. */
export async function keepSealingKey(
  tx: Transaction,
  hash: KeyedHash,
  dataPlaneId: string,
  key: string,
): Promise<void> {
  await tx.query({
    text: `WITH changed AS (
             UPDATE felucca.data_planes SET sealing_key = $2, sealing_proof = $3
             WHERE id = $1 AND (sealing_key, sealing_proof) IS DISTINCT FROM ($2, $3) RETURNING name)
           INSERT INTO felucca.audit (tenant_id, id, actor, action, object, detail)
           SELECT $4, gen_random_uuid(), 'operator', 'data-plane.sealing-key', 'data-plane/' || name, $5 FROM changed`,
    values: [
      dataPlaneId,
      key,
      proofOf(hash, dataPlaneId, key),
      PLATFORM_TENANT,
      JSON.stringify({ keyId: sealingKeyId(key) }),
    ],
  });
}

/** What the values of this data plane are sealed to; undefined when nobody told, `forged` when somebody else wrote it. */
export async function findSealingKey(
  tx: Transaction,
  hash: KeyedHash,
  dataPlaneId: string,
): Promise<{ key: string } | 'forged' | undefined> {
  const { rows } = await tx.query<{ sealing_key: string | null; sealing_proof: string | null }>({
    text: 'SELECT sealing_key, sealing_proof FROM felucca.data_planes WHERE id = $1',
    values: [dataPlaneId],
  });
  const { sealing_key: key, sealing_proof: proof } = rows[0] ?? {};
  if (!key) return undefined;
  return proof === proofOf(hash, dataPlaneId, key) ? { key } : 'forged';
}
