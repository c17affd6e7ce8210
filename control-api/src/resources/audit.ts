import type { TenantTx } from '../db/tenant.ts';
import type { Caller } from '../http/api-keys.ts';

/**
 * One entry, in the transaction of what it tells about; by a key, or by a program that somebody ran beside the
 * database. No parameter values: they may be secrets.
 */
export async function audit(
  tx: TenantTx,
  id: string,
  caller: Pick<Caller, 'keyId'> | { program: string },
  action: string,
  object: string,
  detail: Record<string, unknown> = {},
): Promise<void> {
  await tx.query({
    text: 'INSERT INTO felucca.audit (tenant_id, id, actor, action, object, detail) VALUES ($1, $2, $3, $4, $5, $6)',
    values: [
      tx.tenantId,
      id,
      'keyId' in caller ? `key:${caller.keyId}` : `program:${caller.program}`,
      action,
      object,
      JSON.stringify(detail),
    ],
  });
}
