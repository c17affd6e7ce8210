import type { BlueprintSpec } from '@felucca/contract';
import type { Statement, Transaction } from '../../db/tenant.ts';

export interface BlueprintRow {
  name: string;
  version: string;
  digest: string;
  spec: BlueprintSpec;
  published_at: Date;
}

/** False when the version exists already. */
export async function insertBlueprint(
  tx: Transaction,
  spec: BlueprintSpec,
  digest: string,
): Promise<boolean> {
  const { rowCount } = await tx.query({
    text: `INSERT INTO felucca.blueprints (name, version, digest, spec) VALUES ($1, $2, $3, $4)
           ON CONFLICT (name, version) DO NOTHING`,
    values: [spec.name, spec.version, digest, JSON.stringify(spec)],
  });
  return rowCount === 1;
}

export async function findBlueprint(
  tx: Transaction,
  name: string,
  version: string,
): Promise<BlueprintRow | undefined> {
  const { rows } = await tx.query<BlueprintRow>(blueprintFound(name, version));
  return rows[0];
}

export const blueprintFound = (name: string, version: string): Statement => ({
  text: 'SELECT name, version, digest, spec, published_at FROM felucca.blueprints WHERE name = $1 AND version = $2',
  values: [name, version],
});

export type BlueprintSummary = Omit<BlueprintRow, 'spec'> & { title: string | null };

/** `after` is "<name> <version>" of the last one seen. */
export async function listBlueprints(
  tx: Transaction,
  after: string,
  limit: number,
): Promise<BlueprintSummary[]> {
  const [name = '', version = ''] = after.split(' ');
  const { rows } = await tx.query<BlueprintSummary>({
    text: `SELECT name, version, digest, published_at, spec->>'title' AS title FROM felucca.blueprints
            WHERE (name, version) > ($1, $2) ORDER BY name, version LIMIT $3`,
    values: [name, version, limit],
  });
  return rows;
}
