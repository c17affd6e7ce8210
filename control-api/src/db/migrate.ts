import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

/** Any constant will do, as long as every version of Felucca uses the same. */
const ADVISORY_LOCK = 7_235_420_118;
const OWNER = 'felucca_owner';

export interface Migration {
  number: number;
  name: string;
  sql: string;
  checksum: string;
}

export const migrationsFolder = (): string => fileURLToPath(new URL('../../migrations', import.meta.url));

export function readMigrations(folder: string): Migration[] {
  const names = readdirSync(folder)
    .filter((name) => name.endsWith('.sql'))
    .sort();
  return names.map((name, index) => {
    const number = Number(/^(\d{4})-[a-z0-9-]+\.sql$/.exec(name)?.[1]);
    if (number !== index + 1)
      throw new Error(
        `migration ${name}: expected number ${index + 1}, as in 0001-name.sql; numbers are dense`,
      );
    const sql = readFileSync(join(folder, name), 'utf8');
    return { number, name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
  });
}

export interface MigrateOptions {
  /** A login role that may create roles on first use; later the owner is enough. */
  url: string;
  folder?: string;
  /** Passwords of the login roles that the API connects as; unset: somebody else manages them. */
  rolePasswords?: Readonly<Record<string, string>>;
  onApplied?: (name: string) => void;
}

/**
 * Brings the schema up to this version, each file in its own transaction. Safe to run from many processes at once: they
 * take turns under an advisory lock and the later ones find nothing to do.
 * @throws when a file that was applied has changed, or the database is newer than this program
 */
export async function migrate(options: MigrateOptions): Promise<number> {
  const migrations = readMigrations(options.folder ?? migrationsFolder());
  const client = new pg.Client({ connectionString: options.url, connectionTimeoutMillis: 10_000 });
  await client.connect();
  try {
    await client.query("SET lock_timeout = '60s'");
    await client.query('SELECT pg_advisory_lock($1)', [ADVISORY_LOCK]);
    await client.query(`CREATE TABLE IF NOT EXISTS public.felucca_migrations (
      number int PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`);
    const applied = await client.query<{ number: number; name: string; checksum: string }>(
      'SELECT number, name, checksum FROM public.felucca_migrations ORDER BY number',
    );
    checkHistory(applied.rows, migrations);
    const pending = migrations.slice(applied.rows.length);
    for (const migration of pending) {
      await apply(client, migration);
      options.onApplied?.(migration.name);
    }
    await setPasswords(client, options.rolePasswords ?? {});
    return pending.length;
  } finally {
    // Ending the session releases the lock.
    await client.end();
  }
}

function checkHistory(
  applied: { number: number; name: string; checksum: string }[],
  migrations: Migration[],
): void {
  for (const row of applied) {
    const known = migrations[row.number - 1];
    if (!known)
      throw new Error(
        `the database has migration ${row.name}, which this version does not know; run a newer version`,
      );
    if (known.checksum !== row.checksum)
      throw new Error(
        `migration ${row.name} was changed after it had been applied; restore it and add a new file`,
      );
  }
}

async function apply(client: pg.Client, migration: Migration): Promise<void> {
  await client.query('BEGIN');
  try {
    // The first one makes the owner; all others must leave objects that belong to it.
    if (migration.number > 1) await client.query(`SET LOCAL ROLE ${OWNER}`);
    await client.query(migration.sql);
    await client.query('RESET ROLE');
    await client.query('INSERT INTO public.felucca_migrations (number, name, checksum) VALUES ($1, $2, $3)', [
      migration.number,
      migration.name,
      migration.checksum,
    ]);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    throw new Error(`migration ${migration.name} failed: ${(error as Error).message}`, { cause: error });
  }
}

/** Passwords are derived from a key that all processes share, so setting them again changes nothing. */
async function setPasswords(client: pg.Client, passwords: Readonly<Record<string, string>>): Promise<void> {
  for (const [role, password] of Object.entries(passwords))
    await client.query(`ALTER ROLE ${pg.escapeIdentifier(role)} PASSWORD ${pg.escapeLiteral(password)}`);
}
