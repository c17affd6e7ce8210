import type { TenantTx } from '../../db/tenant.ts';
import type { KeyIdentity } from '../../http/api-keys.ts';

export interface KeyRow {
  id: string;
  name: string;
  scope: 'platform' | 'organization';
  created_at: Date;
  revoked_at: Date | null;
}

/** Its hash holds for this tenant and scope only. */
export interface KeyToInsert extends KeyIdentity {
  name: string;
  secretHash: Buffer;
}

export async function insertKey(tx: TenantTx, key: KeyToInsert): Promise<KeyRow> {
  const { rows } = await tx.query<KeyRow>({
    text: `INSERT INTO felucca.api_keys (tenant_id, id, name, scope, secret_hash) VALUES ($1, $2, $3, $4, $5)
           RETURNING id, name, scope, created_at, revoked_at`,
    values: [key.tenantId, key.id, key.name, key.scope, key.secretHash],
  });
  return rows[0] as KeyRow;
}

/** The 200 newest: keys are few, and the bound is against a script gone wild. */
export async function listKeys(tx: TenantTx): Promise<KeyRow[]> {
  const { rows } = await tx.query<KeyRow>({
    text: `SELECT id, name, scope, created_at, revoked_at FROM felucca.api_keys
            WHERE tenant_id = $1 ORDER BY id DESC LIMIT 200`,
    values: [tx.tenantId],
  });
  return rows;
}

export async function revokeKey(tx: TenantTx, id: string): Promise<boolean> {
  const { rowCount } = await tx.query({
    text: `UPDATE felucca.api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE tenant_id = $1 AND id = $2`,
    values: [tx.tenantId, id],
  });
  return (rowCount ?? 0) > 0;
}

export async function keptHash(tx: TenantTx, id: string): Promise<Buffer | undefined> {
  const { rows } = await tx.query<{ secret_hash: Buffer }>({
    text: 'SELECT secret_hash FROM felucca.api_keys WHERE tenant_id = $1 AND id = $2',
    values: [tx.tenantId, id],
  });
  return rows[0]?.secret_hash;
}

export async function keepHash(tx: TenantTx, id: string, secretHash: Buffer): Promise<void> {
  await tx.query({
    text: 'UPDATE felucca.api_keys SET secret_hash = $3 WHERE tenant_id = $1 AND id = $2',
    values: [tx.tenantId, id, secretHash],
  });
}
