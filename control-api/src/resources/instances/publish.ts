import type { BlueprintSpec, InstanceSpec } from '@felucca/contract';
import { asOne } from '../../db/as-one.ts';
import type { Statement, TenantTx } from '../../db/tenant.ts';
import type { Caller } from '../../http/api-keys.ts';
import { auditEntry } from '../audit.ts';
import {
  blueprintChange,
  type DesiredChange,
  type DesiredInstance,
  desiredChange,
  feedCommit,
  instanceSpec,
  instanceSubject,
  tenantSpec,
  tenantSubject,
  throwIfHeld,
} from '../desired.ts';
import { operationInserted, tellHeld } from '../operations/queries.ts';
import type { OperationRow } from '../operations/shape.ts';
import type { Services } from '../services.ts';
import type { WrittenAt } from './queries.ts';

export interface Publication {
  caller: Caller;
  organization: { id: string; name: string };
  instance: DesiredInstance & { dataPlaneId: string };
  kind: OperationRow['kind'];
  /** Comes along with the Tenant, unless the data plane is known to have both; without effect where it has. */
  blueprint?: BlueprintSpec;
  traceparent: string | null;
  /** What the audit says besides. */
  audit?: Record<string, unknown>;
}

/**
 * What every change of an Instance writes, in one statement: its row, operation and audit entry, and the feed, which takes
 * the data plane's counter.
 * @param row writes the Instance and returns a WrittenAt
 * @throws Problem NAME_TAKEN when a deletion under its name is held; what `row` fails with as it is
 */
export async function publishInstance(
  services: Services,
  tx: TenantTx,
  row: Statement,
  publication: Publication,
): Promise<{ at: WrittenAt; operation: OperationRow }> {
  const { caller, organization, instance, kind, blueprint, traceparent } = publication;
  const operationId = services.newId();
  const wish = kind === 'delete' ? undefined : instanceSpec(instance);
  const changes = changesOf(organization, instance, wish, blueprint, traceparent);
  const feed = await feedCommit(services.signer, instance.dataPlaneId, changes);
  const operation = operationInserted(tx.tenantId, {
    id: operationId,
    instanceId: instance.id,
    dataPlaneId: instance.dataPlaneId,
    kind,
    generation: instance.generation,
    traceparent,
  });
  const entry = auditEntry(tx.tenantId, {
    id: services.newId(),
    actor: caller,
    action: `instance.${kind}`,
    object: `instance/${instance.name}`,
    detail: {
      id: instance.id,
      generation: instance.generation,
      operation: operationId,
      ...publication.audit,
    },
  });
  const { rows } = await tx
    .query<OperationRow & WrittenAt>(
      asOne(
        { instance: row, operation, entry },
        { ...feed, text: `${feed.text}, operation.*, instance.* FROM operation, instance` },
      ),
    )
    .catch(throwIfHeld(changes));
  const { createdAt, updatedAt, ...made } = rows[0]!;
  const at = { createdAt, updatedAt };
  if (kind !== 'delete') return { at, operation: made };
  return { at, operation: { ...made, message: await tellHeld(tx, operationId) } };
}

/**
 * feed_commit skips what the data plane has already.
 * @param wish undefined for a deletion
 * @param blueprint goes first, with the Tenant
 */
export function changesOf(
  organization: { id: string; name: string },
  instance: DesiredInstance,
  wish: InstanceSpec | undefined,
  blueprint: BlueprintSpec | undefined,
  traceparent: string | null,
): DesiredChange[] {
  const change = desiredChange(instanceSubject(organization, instance), wish, traceparent);
  if (!blueprint) return [change];
  const tenant = desiredChange(tenantSubject(organization), tenantSpec(organization));
  return [blueprintChange(blueprint), tenant, change];
}
