import type { Statement, TenantTx } from '../db/tenant.ts';
import type { Caller } from '../http/api-keys.ts';

/** By a key, or by a program that somebody ran beside the database. */
type Actor = Pick<Caller, 'keyId'> | { program: string };

/** One entry, in the transaction of what it tells about. No parameter values: they may be secrets. */
export async function audit(
  tx: TenantTx,
  id: string,
  actor: Actor,
  action: string,
  object: string,
  detail: Record<string, unknown> = {},
): Promise<void> {
  await tx.query(auditEntry(tx.tenantId, { id, actor, action, object, detail }));
}

export const auditEntry = (
  tenantId: string,
  {
    id,
    actor,
    action,
    object,
    detail,
  }: { id: string; actor: Actor; action: string; object: string; detail: Record<string, unknown> },
): Statement => ({
  text: 'INSERT INTO felucca.audit (tenant_id, id, actor, action, object, detail) VALUES ($1, $2, $3, $4, $5, $6)',
  values: [
    tenantId,
    id,
    'keyId' in actor ? `key:${actor.keyId}` : `program:${actor.program}`,
    action,
    object,
    JSON.stringify(detail),
  ],
});
