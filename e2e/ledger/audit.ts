import type { LinkStage } from '@felucca/bench/link/stage';
import { type Account, Differences } from './account.ts';

interface DatabaseRow {
  id: string;
  generation: number;
  text: string;
  suspended: boolean;
  deleted: boolean;
  /** Null: the feed has no such row. */
  feedGeneration: number | null;
  feedDeleted: boolean | null;
  feedText: string | null;
  operations: number;
  open: number;
  audits: number;
}

const DATABASE = `
  SELECT i.id::text, i.generation::int, i.parameters ->> 'text' AS text, i.suspend AS suspended, i.deleted_at IS NOT NULL AS deleted,
         d.generation::int AS "feedGeneration", d.deleted_at IS NOT NULL AS "feedDeleted",
         d.spec #>> '{parameters,text}' AS "feedText", o.operations, o.open, a.audits
    FROM felucca.instances i
    LEFT JOIN felucca.desired d ON d.tenant_id = i.tenant_id AND d.kind = 'Instance' AND d.id = i.id::text
    LEFT JOIN (SELECT instance_id, count(*)::int AS operations,
                      count(*) FILTER (WHERE state NOT IN ('ready', 'superseded'))::int AS open
                 FROM felucca.operations GROUP BY instance_id) o ON o.instance_id = i.id
    LEFT JOIN (SELECT detail ->> 'id' AS id, count(*)::int AS audits
                 FROM felucca.audit WHERE object LIKE 'instance/%' GROUP BY detail ->> 'id') a ON a.id = i.id::text`;

/**
 * The ledger against what the database has and what the data planes did: each acknowledged change is there, once, and nothing
 * else is.
 */
export async function audit(stage: LinkStage, accounts: readonly Account[]): Promise<Differences> {
  const differences = new Differences();
  const { rows } = await stage.admin.query<DatabaseRow>(DATABASE);
  const byId = new Map(rows.map((row) => [row.id, row]));
  const applied = new Map((await stage.askAgents('applied', undefined)).flat().map((one) => [one.id, one]));
  for (const account of accounts) {
    const row = byId.get(account.id);
    byId.delete(account.id);
    const { generation = 0, text = '', suspended = false, deleted = false } = row ?? {};
    differences.compare('the database', account, row && { generation, text, suspended, deleted });
    if (!row) continue;
    // A tombstone whose end was told is removed after a while.
    if (row.feedGeneration !== null || !account.deleted)
      differences.compare('the feed', account, {
        generation: row.feedGeneration ?? 0,
        deleted: row.feedDeleted ?? false,
        ...(row.feedText === null ? {} : { text: row.feedText }),
      });
    for (const [what, count] of Object.entries({ operations: row.operations, audits: row.audits }))
      if (count !== account.changes)
        differences.add(`${count} ${what} of ${account.name} (${account.id}) for ${account.changes} changes`);
    if (row.open > 0)
      differences.add(`${row.open} operations of ${account.name} (${account.id}) never ended`);
    const effect = applied.get(account.id);
    applied.delete(account.id);
    // What came and went between two looks was never there for its data plane.
    if (!effect && account.deleted) continue;
    differences.compare(
      'the data plane',
      account,
      effect && { generation: effect.generation, deleted: effect.deleted },
    );
  }
  for (const { id } of byId.values()) differences.add(`the database has ${id}, which nobody was told of`);
  for (const { id } of applied.values())
    differences.add(`a data plane applied ${id}, which nobody was told of`);
  for (const what of (await stage.askAgents('againApplied', undefined)).flat())
    differences.add(`applied a second time or backwards: ${what}`);
  return differences;
}
