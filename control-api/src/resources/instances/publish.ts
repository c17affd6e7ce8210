import type { BlueprintSpec } from '@felucca/contract';
import { type TenantTx, together } from '../../db/tenant.ts';
import type { Caller } from '../../http/api-keys.ts';
import { audit } from '../audit.ts';
import {
  blueprintChange,
  commitToFeed,
  type DesiredChange,
  type DesiredInstance,
  desiredChange,
  instanceSpec,
  instanceSubject,
  tenantSpec,
  tenantSubject,
} from '../desired.ts';
import { insertOperation, tellHeld } from '../operations/queries.ts';
import type { OperationRow } from '../operations/shape.ts';
import type { Services } from '../services.ts';

export interface Publication {
  caller: Caller;
  organization: { id: string; name: string };
  instance: DesiredInstance & { dataPlaneId: string };
  kind: OperationRow['kind'];
  /** Absent for a deletion. */
  blueprint?: BlueprintSpec;
  traceparent: string | null;
  /** What the audit says besides. */
  audit?: Record<string, unknown>;
}

/**
 * The second half of every Instance mutation, in the transaction that changed its row: operation, audit entry,
 * and last of all the feed, which takes the data plane's counter.
 */
export async function publishInstance(
  services: Services,
  tx: TenantTx,
  publication: Publication,
): Promise<OperationRow> {
  const { caller, organization, instance, kind, blueprint, traceparent } = publication;
  const operationId = services.newId();
  const [operation] = await together([
    insertOperation(tx, {
      id: operationId,
      instanceId: instance.id,
      dataPlaneId: instance.dataPlaneId,
      kind,
      generation: instance.generation,
      traceparent,
    }),
    audit(tx, services.newId(), caller, `instance.${kind}`, `instance/${instance.name}`, {
      id: instance.id,
      generation: instance.generation,
      operation: operationId,
      ...publication.audit,
    }),
    commitToFeed(
      tx,
      services.signer,
      instance.dataPlaneId,
      changesOf(organization, instance, blueprint, traceparent),
    ),
  ]);
  if (kind !== 'delete') return operation;
  return { ...operation, message: await tellHeld(tx, operationId) };
}

/** Blueprint and Tenant come along each time; feed_commit skips what the data plane has already. */
export function changesOf(
  organization: { id: string; name: string },
  instance: DesiredInstance,
  blueprint: BlueprintSpec | undefined,
  traceparent: string | null,
): DesiredChange[] {
  const subject = instanceSubject(organization, instance);
  if (!blueprint) return [desiredChange(subject, undefined, traceparent)];
  return [
    blueprintChange(blueprint),
    desiredChange(tenantSubject(organization), tenantSpec(organization)),
    desiredChange(subject, instanceSpec(instance), traceparent),
  ];
}
