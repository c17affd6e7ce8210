import type { BlueprintSpec } from '@felucca/contract';
import type { Statement, Transaction } from '../../db/tenant.ts';
import type { FieldProblem } from '../../http/problems.ts';

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

/** Of what was asked for and is not there: the name, or only the version. */
export async function missingBlueprint(
  tx: Transaction,
  name: string,
  version: string,
): Promise<FieldProblem> {
  const { rows } = await tx.query<{ version: string }>({
    text: 'SELECT version FROM felucca.blueprints WHERE name = $1 ORDER BY published_at DESC LIMIT 5',
    values: [name],
  });
  if (rows.length === 0)
    return {
      pointer: '/blueprint',
      message: `there is no Blueprint "${name}"`,
      remedy: 'use the name of one that GET /v1/blueprints lists, or publish it first',
    };
  const newest = rows.map((row) => row.version).join(', ');
  return {
    pointer: '/version',
    message: `Blueprint "${name}" has no version ${version}`,
    remedy: `use one that is published (${newest}), or publish it first`,
  };
}

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
