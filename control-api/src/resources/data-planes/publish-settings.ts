import { type DataPlaneSpec, digestOf } from '@felucca/contract';
import type { TenantTx } from '../../db/tenant.ts';
import type { RowSigner } from '../../feed/signer.ts';
import { commitToFeed, dataPlaneSubject, desiredChange } from '../desired.ts';
import { isOvertaken } from '../generation.ts';
import { type DataPlaneSettings, updateDataPlaneSpec } from './held-queries.ts';

/** Whether a data plane is to hear of these settings: they differ, or its cluster runs newer ones than this database has. */
export const isNews = (before: DataPlaneSettings, spec: DataPlaneSpec): boolean =>
  digestOf(spec) !== digestOf(before.spec) || isOvertaken(before);

/**
 * Without signing keys that are none of ours: operators trust whatever keys this row names, so one that somebody wrote into
 * the database must not get our signature.
 */
export function withOwnKeys(spec: DataPlaneSpec, signer: Pick<RowSigner, 'publicKeys'>): DataPlaneSpec {
  const { signingKeys = [], ...others } = spec;
  const ours = signer.publicKeys();
  const own = signingKeys.filter(({ kid, publicKey }) => ours[kid] === publicKey);
  return own.length === 0 ? others : { ...others, signingKeys: own };
}

/** New settings of a data plane, kept and sent to it; the last thing in a transaction that holds their lock. */
export async function publishSettings(
  tx: TenantTx,
  signer: RowSigner,
  id: string,
  spec: DataPlaneSpec,
  generation: number,
): Promise<void> {
  await updateDataPlaneSpec(tx, id, spec, generation);
  await commitToFeed(tx, signer, id, [desiredChange(dataPlaneSubject(id, generation), spec)]);
}
