import { hasRoleSecret, ROLE_SECRET_FILE } from '../db/role-passwords.ts';
import type { Transaction } from '../db/tenant.ts';
import { kidsOf, type RowSigner, SIGNING_KEY_FILES, signerIfThere } from './signer.ts';

export interface KeyFolder {
  keyDir: string;
  /** Kids that nobody has any more, as somebody has said. */
  lostSigningKeys: readonly string[];
}

/** Kids that a message names. */
const MAX_NAMED = 5;

/** Of a folder that was in use: what signs rows there, or the file without which it is not that folder. Nothing is made. */
export async function readKeyFolder(keyDir: string): Promise<{ signer: RowSigner } | { missing: string }> {
  const signer = await signerIfThere(keyDir);
  if (!signer) return { missing: SIGNING_KEY_FILES.signs };
  return (await hasRoleSecret(keyDir)) ? { signer } : { missing: ROLE_SECRET_FILE };
}

/**
 * A wrong or empty folder: no operator would trust a key that is made or found there, with a secret that is made there no API
 * key would be known, and its passwords would lock out the processes that serve. Asked where the database was served before.
 * @throws naming the folder, the keys here and there, and what to do
 */
export async function requireKeys(tx: Transaction, folder: KeyFolder): Promise<void> {
  const { keyDir, lostSigningKeys } = folder;
  const found = await readKeyFolder(keyDir);
  if ('missing' in found)
    throw new Error(
      `FELUCCA_KEY_DIR is ${keyDir}, where there is no ${found.missing}, and this database was served with one; ` +
        'put the key folder back from its backup. If it is lost for good, see docs/runbooks/signing-keys.md',
    );
  const ours = kidsOf(found.signer);
  const { signed, announced } = await keysInUse(tx);
  if ([...signed, ...announced].some((kid) => ours.includes(kid))) return;
  const strange = signed.filter((kid) => !lostSigningKeys.includes(kid));
  if (strange.length === 0) return;
  throw new Error(
    `FELUCCA_KEY_DIR is ${keyDir}, which has ${ours.join(', ')}, and the rows of this database are signed with ` +
      `${strange.slice(0, MAX_NAMED).join(', ')}: operators would refuse what is ordered. Put the key folder of that time ` +
      `back, or that key beside the present one as ${SIGNING_KEY_FILES.previous}. If it is lost for good, see ` +
      'docs/runbooks/signing-keys.md',
  );
}

/**
 * The keys of the oldest and of the newest row of each data plane, and what its operator was told to trust. Rows are in the
 * order in which they were written, so keys that took turns show at an end; all rows may be millions.
 */
async function keysInUse(tx: Transaction): Promise<{ signed: string[]; announced: string[] }> {
  const { rows } = await tx.query<{ signed: string[]; announced: string[] }>({
    text: `SELECT
             ARRAY(SELECT DISTINCT d.kid FROM felucca.data_planes p CROSS JOIN LATERAL (
                 (SELECT kid FROM felucca.desired WHERE data_plane_id = p.id ORDER BY rev LIMIT 1)
                 UNION ALL
                 (SELECT kid FROM felucca.desired WHERE data_plane_id = p.id ORDER BY rev DESC LIMIT 1)) d
               WHERE p.deleted_at IS NULL ORDER BY 1) AS signed,
             ARRAY(SELECT DISTINCT k #>> '{}'
               FROM felucca.data_planes p, jsonb_path_query(p.spec, '$.signingKeys[*].kid') k
               WHERE p.deleted_at IS NULL AND p.joined_at IS NOT NULL) AS announced`,
  });
  return rows[0]!;
}
