import type pg from 'pg';
import { REPLACED, schemasOf } from '../db/interrupted-restore.ts';
import { MIGRATIONS_TABLE, migrationsFolder, readMigrations } from '../db/migrate.ts';
import { inTransaction } from './database.ts';
import type { Manifest } from './manifest.ts';
import { Refusal } from './refusal.ts';

/**
 * Puts aside what there is. While `replaced_felucca` is there, empty if nothing was, a restore is under way or was
 * interrupted.
 */
export async function makeRoom(client: pg.Client, { migrations }: Manifest, replace: boolean): Promise<void> {
  await putBack(client);
  const { felucca, replaced } = await schemasOf(client);
  if (replaced)
    throw new Refusal(
      `a restore was interrupted when its dump was in place; what it replaced is still in schema ${REPLACED}`,
      `drop one of the two: ${REPLACED}, if schema felucca is what you want; or felucca, and restore puts the other back`,
    );
  if (felucca && !replace)
    throw new Refusal(
      'the database has a schema of Felucca already',
      'restore into an empty database, or replace what is there with --replace (take a backup of it first)',
    );
  // Roles belong to the server, so no dump has them; the first migration makes them where they are missing.
  const [roles] = readMigrations(migrationsFolder());
  await inTransaction(client, async () => {
    if (felucca) {
      await client.query(`ALTER SCHEMA felucca RENAME TO ${REPLACED}`);
      await client.query(`ALTER TABLE IF EXISTS public.felucca_migrations SET SCHEMA ${REPLACED}`);
    } else {
      await client.query(`CREATE SCHEMA ${REPLACED}`);
      await client.query('DROP TABLE IF EXISTS public.felucca_migrations');
    }
    await client.query(roles!.sql);
    await client.query('DROP SCHEMA felucca');
    await client.query(MIGRATIONS_TABLE);
    await client.query(
      `INSERT INTO public.felucca_migrations (number, name, checksum)
       SELECT number, name, checksum FROM jsonb_to_recordset($1) AS m(number int, name text, checksum text)`,
      [JSON.stringify(migrations)],
    );
  });
}

/** As it was before a restore that came to nothing; where none did, nothing is touched. */
export async function putBack(client: pg.Client): Promise<void> {
  const { felucca, replaced } = await schemasOf(client);
  if (felucca || !replaced) return;
  await inTransaction(client, async () => {
    await client.query('DROP TABLE IF EXISTS public.felucca_migrations');
    if (await isEmpty(client)) await client.query(`DROP SCHEMA ${REPLACED}`);
    else {
      await client.query(`ALTER TABLE IF EXISTS ${REPLACED}.felucca_migrations SET SCHEMA public`);
      await client.query(`ALTER SCHEMA ${REPLACED} RENAME TO felucca`);
    }
  });
}

async function isEmpty(client: pg.Client): Promise<boolean> {
  const { rowCount } = await client.query(
    'SELECT FROM pg_class WHERE relnamespace = to_regnamespace($1) LIMIT 1',
    [REPLACED],
  );
  return rowCount === 0;
}

/** When the dump is in its place. */
export async function dropReplaced(client: pg.Client): Promise<void> {
  await client.query(`DROP SCHEMA ${REPLACED} CASCADE`);
}
