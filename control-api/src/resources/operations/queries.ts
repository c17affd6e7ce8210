import type { Statement, TenantTx } from '../../db/tenant.ts';
import type { OperationRow } from './shape.ts';

const COLUMNS = `id, instance_id AS "instanceId", kind, generation::int, state, message, accepted_at AS "acceptedAt",
  delivered_at AS "deliveredAt", applied_at AS "appliedAt", ready_at AS "readyAt", ended_at AS "endedAt"`;

export interface OperationToInsert {
  id: string;
  instanceId: string;
  dataPlaneId: string;
  kind: OperationRow['kind'];
  generation: number;
  traceparent: string | null;
}

/** Returns an OperationRow. */
export const operationInserted = (tenantId: string, operation: OperationToInsert): Statement => ({
  text: `INSERT INTO felucca.operations (tenant_id, id, instance_id, data_plane_id, kind, generation, traceparent)
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING ${COLUMNS}`,
  values: [
    tenantId,
    operation.id,
    operation.instanceId,
    operation.dataPlaneId,
    operation.kind,
    operation.generation,
    operation.traceparent,
  ],
});

/** A deletion that did not reach the feed says so. @returns what it says; '' when it did */
export async function tellHeld(tx: TenantTx, operationId: string): Promise<string> {
  const { rows } = await tx.query<{ message: string }>({
    text: `UPDATE felucca.operations op SET message = 'held: ' || h.message || '; a person of the platform decides'
             FROM felucca.held_deletions h
            WHERE op.tenant_id = $1 AND op.id = $2 AND h.tenant_id = $1 AND h.data_plane_id = op.data_plane_id
              AND h.kind = 'Instance' AND h.id = op.instance_id::text
           RETURNING op.message`,
    values: [tx.tenantId, operationId],
  });
  return rows[0]?.message ?? '';
}

/** It goes on: the operation of this deletion waits for the operator, as any other. */
export async function tellReleased(tx: TenantTx, instanceId: string, generation: number): Promise<void> {
  await tx.query({
    text: `UPDATE felucca.operations SET message = ''
            WHERE tenant_id = $1 AND instance_id = $2 AND generation = $3 AND kind = 'delete' AND state = 'accepted'`,
    values: [tx.tenantId, instanceId, generation],
  });
}

export async function findOperation(tx: TenantTx, id: string): Promise<OperationRow | undefined> {
  const { rows } = await tx.query<OperationRow>({
    text: `SELECT ${COLUMNS} FROM felucca.operations WHERE tenant_id = $1 AND id = $2`,
    values: [tx.tenantId, id],
  });
  return rows[0];
}

/** Newest first, below `before`; of one Instance (by name, deleted ones too) or of all. */
export async function listOperations(
  tx: TenantTx,
  instance: string | undefined,
  before: string | undefined,
  limit: number,
): Promise<OperationRow[]> {
  const { rows } = await tx.query<OperationRow>({
    text: `SELECT ${COLUMNS} FROM felucca.operations o
            WHERE o.tenant_id = $1 AND ($2::text IS NULL OR o.instance_id IN
              (SELECT i.id FROM felucca.instances i WHERE i.tenant_id = $1 AND i.name = $2))
              AND ($3::uuid IS NULL OR o.id < $3)
            ORDER BY o.id DESC LIMIT $4`,
    values: [tx.tenantId, instance ?? null, before ?? null, limit],
  });
  return rows;
}
