import type { DataPlaneSpec } from '@felucca/contract';
import type { TenantTx } from '../../db/tenant.ts';
import type { RowSigner } from '../../feed/signer.ts';
import { commitToFeed, dataPlaneSubject, desiredChange } from '../desired.ts';
import { updateDataPlaneSpec } from './held-queries.ts';

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
