import type pg from 'pg';
import { migrateHeld } from '../db/migrate.ts';
import { PLATFORM_TENANT } from '../db/tenant.ts';
import { beginEpochs } from '../feed/lineage.ts';
import { inTransaction, mustHaveFelucca, withSchema } from './database.ts';
import { Refusal } from './refusal.ts';

export interface EpochOptions {
  url: string;
  /** Although API processes are connected. */
  connected: boolean;
  newId: () => string;
  say: (line: string) => void;
}

/** For every restore that this program did not make. Asked twice, there are two new epochs, which does no harm. */
export function newEpoch(options: EpochOptions): Promise<number> {
  return withSchema(options.url, async (client) => {
    await mustHaveFelucca(client, options.say);
    await nobodyConnected(client, options.connected);
    return beginNewEpochs(client, options);
  });
}

/** In a session that holds the schema. */
export async function beginNewEpochs(
  client: pg.Client,
  { newId, say }: Pick<EpochOptions, 'newId' | 'say'>,
): Promise<number> {
  // What was put back may be of an earlier version.
  await migrateHeld(client, { onApplied: (name) => say(`applied ${name}`) });
  const minted = await inTransaction(client, async () => {
    const count = await beginEpochs({ query: (statement) => client.query(statement) });
    // Row-level security is forced on owners, too.
    await client.query(`SELECT set_config('app.tenant_id', $1, true)`, [PLATFORM_TENANT]);
    await client.query(
      `INSERT INTO felucca.audit (tenant_id, id, actor, action, object, detail)
       VALUES ($1, $2, 'program:felucca-admin', 'database.new-epoch', 'database', $3)`,
      [PLATFORM_TENANT, newId(), JSON.stringify({ dataPlanes: count })],
    );
    return count;
  });
  say(
    `new epochs for ${minted} data planes; nothing in their clusters is deleted before both sides have compared`,
  );
  say('Next:');
  say('  1. start control-api, with the key folder (FELUCCA_KEY_DIR) of the time of the backup');
  say('  2. wait until operators are connected: GET /v1/data-planes');
  say('  3. felucca admin differences: what clusters hold and this database does not know');
  say('  4. felucca admin adopt <data plane> --all; then decide about what is left, one by one');
  return 0;
}

/** They would go on writing by what they remember, between the restore and the new epochs, too. */
export async function nobodyConnected(client: pg.Client, connected: boolean): Promise<void> {
  const { rows } = await client.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_stat_activity
      WHERE datname = current_database() AND application_name IN ('felucca-app', 'felucca-feed')`,
  );
  const count = rows[0]?.count ?? 0;
  if (count > 0 && !connected)
    throw new Refusal(
      `API processes are connected to this database (${count} connections)`,
      'stop control-api first (scale its deployment to 0); --connected goes on all the same',
    );
}
