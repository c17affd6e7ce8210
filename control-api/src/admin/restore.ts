import { join } from 'node:path';
import type pg from 'pg';
import { MIGRATIONS_TABLE, migrate, migrationsFolder, readMigrations } from '../db/migrate.ts';
import { PLATFORM_TENANT } from '../db/tenant.ts';
import { beginEpochs } from '../feed/lineage.ts';
import { SIGNING_KEY_FILES } from '../feed/signer.ts';
import { checkClient, majorOf, runClient } from './client-programs.ts';
import { serverVersion, withClient } from './database.ts';
import { DUMP_FILE, type Manifest, readManifest } from './manifest.ts';
import { Refusal } from './refusal.ts';

interface EpochOptions {
  url: string;
  /** Although API processes are connected. */
  connected: boolean;
  newId: () => string;
  say: (line: string) => void;
}

export interface RestoreOptions extends EpochOptions {
  from: string;
  /** Drops what the database has now. */
  replace: boolean;
  /** Of the key folder, by kid. */
  keys: Record<string, string> | undefined;
}

/** Puts a dump of `backup` back, and begins new epochs before anybody can ask for the feed. */
export async function restore(options: RestoreOptions): Promise<number> {
  const { url, from, replace, keys, say } = options;
  const manifest = await readManifest(from);
  mustKnow(manifest);
  if (keys !== undefined && manifest.signingKey !== undefined && !(manifest.signingKey in keys))
    throw new Refusal(
      `rows of this backup are signed with key ${manifest.signingKey}, and FELUCCA_KEY_DIR has ${Object.keys(keys).join(', ')}`,
      `put that key back first, as ${SIGNING_KEY_FILES.previous} beside the present one, or the key folder of that time`,
    );
  await withClient(url, async (client) => {
    const server = majorOf(await serverVersion(client));
    if (server < majorOf(manifest.server.version))
      throw new Refusal(
        `the backup is of Postgres ${manifest.server.version}, and this server is older`,
        'restore into the same major version or a newer one',
      );
    await checkClient('pg_restore', server);
    await nobodyConnected(client, options.connected);
    await makeRoom(client, manifest, replace);
  });
  try {
    // All or nothing. The database is named by the environment; without an option pg_restore would write a script.
    const whole = ['--single-transaction', '--exit-on-error', '--dbname='];
    await runClient('pg_restore', [...whole, join(from, DUMP_FILE)], url);
    await withClient(url, (client) => mustBeRestored(client, manifest));
  } catch (error) {
    await withClient(url, putBack);
    throw error;
  }
  await withClient(url, (client) => client.query(`DROP SCHEMA IF EXISTS ${REPLACED} CASCADE`));
  say(`restored the state of ${manifest.takenAt}`);
  return newEpoch({ ...options, connected: true });
}

/** For every restore that this program did not make. Asked twice, there are two new epochs, which does no harm. */
export async function newEpoch({ url, connected, newId, say }: EpochOptions): Promise<number> {
  await withClient(url, (client) => nobodyConnected(client, connected));
  // What was put back may be of an earlier version.
  await migrate({ url, onApplied: (name) => say(`applied ${name}`) });
  return withClient(url, async (client) => {
    await client.query('BEGIN');
    const minted = await beginEpochs({ query: (statement) => client.query(statement) });
    // Row-level security is forced on owners, too.
    await client.query(`SELECT set_config('app.tenant_id', $1, true)`, [PLATFORM_TENANT]);
    await client.query(
      `INSERT INTO felucca.audit (tenant_id, id, actor, action, object, detail)
       VALUES ($1, $2, 'program:felucca-admin', 'database.new-epoch', 'database', $3)`,
      [PLATFORM_TENANT, newId(), JSON.stringify({ dataPlanes: minted })],
    );
    await client.query('COMMIT');
    say(
      `new epochs for ${minted} data planes; nothing in their clusters is deleted before both sides have compared`,
    );
    say('Next:');
    say('  1. start control-api, with the key folder (FELUCCA_KEY_DIR) of the time of the backup');
    say('  2. wait until operators are connected: GET /v1/data-planes');
    say('  3. felucca admin differences: what clusters hold and this database does not know');
    say('  4. felucca admin adopt <data plane> --all; then decide about what is left, one by one');
    return 0;
  });
}

/** @throws Refusal of a backup from a newer version of this program, or with another history */
function mustKnow({ migrations }: Manifest): void {
  const known = readMigrations(migrationsFolder());
  const strange = migrations.find(({ number, checksum }) => known[number - 1]?.checksum !== checksum);
  if (strange)
    throw new Refusal(
      `the backup has migration ${strange.name}, which this version does not have, or has otherwise`,
      'restore with the version of Felucca that took it, or a newer one',
    );
}

/** They would go on writing by what they remember, between the restore and the new epochs, too. */
async function nobodyConnected(client: pg.Client, connected: boolean): Promise<void> {
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

/** What was there is kept until the dump is in its place. */
const REPLACED = 'replaced_felucca';

const isThere = async (client: pg.Client, schema: string): Promise<boolean> => {
  const { rows } = await client.query<{ found: boolean }>('SELECT to_regnamespace($1) IS NOT NULL AS found', [
    schema,
  ]);
  return rows[0]!.found;
};

async function makeRoom(client: pg.Client, { migrations }: Manifest, replace: boolean): Promise<void> {
  // A restore that was killed left its only copy of what was there.
  if (!(await isThere(client, 'felucca'))) await putBack(client);
  const found = await isThere(client, 'felucca');
  if (found && !replace)
    throw new Refusal(
      'the database has a schema of Felucca already',
      'restore into an empty database, or replace what is there with --replace (take a backup of it first)',
    );
  // Roles belong to the server, so no dump has them; the first migration makes them where they are missing.
  const [roles] = readMigrations(migrationsFolder());
  await client.query('BEGIN');
  await client.query(`DROP SCHEMA IF EXISTS ${REPLACED} CASCADE`);
  if (found) {
    await client.query(`ALTER SCHEMA felucca RENAME TO ${REPLACED}`);
    await client.query(`ALTER TABLE IF EXISTS public.felucca_migrations SET SCHEMA ${REPLACED}`);
  }
  await client.query(roles!.sql);
  await client.query('DROP SCHEMA felucca');
  await client.query(MIGRATIONS_TABLE);
  await client.query(
    `INSERT INTO public.felucca_migrations (number, name, checksum)
     SELECT number, name, checksum FROM jsonb_to_recordset($1) AS m(number int, name text, checksum text)`,
    [JSON.stringify(migrations)],
  );
  await client.query('COMMIT');
}

/** Nothing is dropped for what is not there. @throws Refusal when pg_restore did not load the dump into this database */
async function mustBeRestored(client: pg.Client, { dataPlanes }: Manifest): Promise<void> {
  if ((await isThere(client, 'felucca')) && (await countKnown(client, dataPlanes)) === dataPlanes.length)
    return;
  throw new Refusal(
    'pg_restore says that it is done, but what it restored is not in this database',
    'does the host of DATABASE_URL lead to more than one server, as a name with several addresses may?',
  );
}

async function countKnown(
  client: pg.Client,
  dataPlanes: Manifest['dataPlanes'],
): Promise<number | undefined> {
  const { rows } = await client.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM felucca.feed_heads WHERE data_plane_id = ANY($1::uuid[])',
    [dataPlanes.map(({ id }) => id)],
  );
  return rows[0]?.count;
}

/** The dump could not be put back: as it was. */
async function putBack(client: pg.Client): Promise<void> {
  await client.query('BEGIN');
  await client.query('DROP TABLE IF EXISTS public.felucca_migrations');
  if (await isThere(client, REPLACED)) {
    await client.query(`ALTER TABLE IF EXISTS ${REPLACED}.felucca_migrations SET SCHEMA public`);
    await client.query(`ALTER SCHEMA ${REPLACED} RENAME TO felucca`);
  }
  await client.query('COMMIT');
}
