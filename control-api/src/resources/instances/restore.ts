import { withTenant } from '../../db/tenant.ts';
import type { Caller } from '../../http/api-keys.ts';
import { Problem } from '../../http/problems.ts';
import { nextGeneration } from '../generation.ts';
import { holdOrganization, organizationName } from '../organizations/queries.ts';
import type { Services } from '../services.ts';
import { pinnedBlueprint } from './change.ts';
import { publishInstance } from './publish.ts';
import { instanceRestored, lockDeletedInstance, throwIfSucceeded } from './queries.ts';

/**
 * Takes a deletion back while its workload still runs: the Instance is wanted again, as it was.
 * @returns false when the database knows no such deleted Instance
 */
export async function restoreInstance(
  services: Services,
  wish: { caller: Caller; tenantId: string; id: string; traceparent: string | null },
): Promise<boolean> {
  const { caller, tenantId, id, traceparent } = wish;
  return withTenant(services.db, tenantId, async (tx) => {
    const row = await lockDeletedInstance(tx, id);
    if (!row) return false;
    if (!(await holdOrganization(tx, tenantId)))
      throw new Problem(
        'CONFLICT',
        `The organization of ${row.name} is deleted, so its Instance can't come back.`,
      );
    const instance = { ...row, generation: nextGeneration(row) };
    const restored = instanceRestored(tx.tenantId, row.id, instance.generation);
    await publishInstance(services, tx, restored, {
      caller,
      organization: { id: tenantId, name: await organizationName(tx, tenantId) },
      instance,
      kind: 'update',
      blueprint: await pinnedBlueprint(tx, row.blueprintName, row.blueprintVersion),
      traceparent,
      audit: { deletionRejected: true },
    }).catch(throwIfSucceeded(row.name));
    return true;
  });
}
