import { sqlState, UNIQUE_VIOLATION } from '../../db/errors.ts';
import type { Statement, TenantTx, Transaction } from '../../db/tenant.ts';
import { Problem } from '../../http/problems.ts';
import { UNACCOUNTED } from '../unknown-objects/queries.ts';

export interface OrganizationRow {
  id: string;
  name: string;
  created_at: Date;
}

export async function insertOrganization(
  tx: Transaction,
  id: string,
  name: string,
): Promise<OrganizationRow> {
  try {
    const { rows } = await tx.query<OrganizationRow>({
      text: 'INSERT INTO felucca.organizations (id, name) VALUES ($1, $2) RETURNING id, name, created_at',
      values: [id, name],
    });
    return rows[0] as OrganizationRow;
  } catch (error) {
    if (sqlState(error) === UNIQUE_VIOLATION)
      throw new Problem('NAME_TAKEN', `There is an organization "${name}" already; choose another name.`);
    throw error;
  }
}

export async function findOrganization(tx: Transaction, name: string): Promise<OrganizationRow | undefined> {
  const { rows } = await tx.query<OrganizationRow>({
    text: 'SELECT id, name, created_at FROM felucca.organizations WHERE name = $1 AND deleted_at IS NULL',
    values: [name],
  });
  return rows[0];
}

export async function listOrganizations(
  tx: Transaction,
  after: string,
  limit: number,
): Promise<OrganizationRow[]> {
  const { rows } = await tx.query<OrganizationRow>({
    text: `SELECT id, name, created_at FROM felucca.organizations
            WHERE deleted_at IS NULL AND name > $1 ORDER BY name LIMIT $2`,
    values: [after, limit],
  });
  return rows;
}

/** Until the transaction ends nobody deletes it; false if somebody just did. */
export async function holdOrganization(tx: Transaction, id: string): Promise<boolean> {
  const { rowCount } = await tx.query(organizationHeld(id));
  return rowCount === 1;
}

export const organizationHeld = (id: string): Statement => ({
  text: 'SELECT id FROM felucca.organizations WHERE id = $1 AND deleted_at IS NULL FOR KEY SHARE',
  values: [id],
});

export async function organizationName(tx: Transaction, id: string): Promise<string> {
  const { rows } = await tx.query<{ name: string }>({
    text: 'SELECT name FROM felucca.organizations WHERE id = $1',
    values: [id],
  });
  return rows[0]?.name ?? '';
}

/** Until the transaction ends nobody orders in it; false if it is deleted already. */
export async function lockOrganization(tx: Transaction, id: string): Promise<boolean> {
  const { rowCount } = await tx.query({
    text: 'SELECT 1 FROM felucca.organizations WHERE id = $1 AND deleted_at IS NULL FOR UPDATE',
    values: [id],
  });
  return rowCount === 1;
}

/** Marks it deleted and revokes its keys. */
export async function markOrganizationDeleted(tx: TenantTx): Promise<void> {
  const values = [tx.tenantId];
  await tx.query({ text: 'UPDATE felucca.organizations SET deleted_at = now() WHERE id = $1', values });
  await tx.query({
    text: 'UPDATE felucca.api_keys SET revoked_at = now() WHERE tenant_id = $1 AND revoked_at IS NULL',
    values,
  });
}

/** Instances of it in clusters that no row here accounts for; older ones belonged to another of its name. */
export async function countUnknownOf(tx: TenantTx): Promise<number> {
  const { rows } = await tx.query<{ count: number }>({
    text: `SELECT count(*)::int AS count FROM felucca.unknown_objects u
            WHERE u.tenant_id = $1 AND u.kind = 'Instance' AND u.id > u.tenant_id::text AND ${UNACCOUNTED}`,
    values: [tx.tenantId],
  });
  return rows[0]?.count ?? 0;
}

/** Data planes that have its Tenant. In one order, because each of them is locked when its feed is written. */
export async function dataPlanesOfTenant(tx: TenantTx): Promise<string[]> {
  const { rows } = await tx.query<{ data_plane_id: string }>({
    text: `SELECT data_plane_id FROM felucca.desired
            WHERE tenant_id = $1 AND kind = 'Tenant' AND deleted_at IS NULL ORDER BY data_plane_id`,
    values: [tx.tenantId],
  });
  return rows.map((row) => row.data_plane_id);
}
