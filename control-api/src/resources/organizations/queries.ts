import { sqlState, UNIQUE_VIOLATION } from '../../db/errors.ts';
import type { Transaction } from '../../db/tenant.ts';
import { Problem } from '../../http/problems.ts';

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

export async function markOrganizationDeleted(tx: Transaction, id: string): Promise<void> {
  await tx.query({ text: 'UPDATE felucca.organizations SET deleted_at = now() WHERE id = $1', values: [id] });
}
