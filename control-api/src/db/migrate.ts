import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { LOCK_NOT_AVAILABLE, sqlState } from './errors.ts';
import { refuseInterrupted } from './interrupted-restore.ts';
import { scramVerifier } from './role-passwords.ts';
import { waitForSchema } from './schema-lock.ts';
import type { Transaction } from './tenant.ts';

const OWNER = 'felucca_owner';
const LOCK_TIMEOUT_MS = 3_000;
const LOCK_ATTEMPTS = 10;
const LOCK_PAUSE_MS = 1_000;

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

export const MIGRATIONS_TABLE = `CREATE TABLE IF NOT EXISTS public.felucca_migrations (
  number int PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`;

type RolePasswords = Readonly<Record<string, string>>;

export interface MigrateOptions {
  /** A login role that may create roles on first use; later the owner is enough. */
  url: string;
  folder?: string;
  /** Passwords of the login roles that the API connects as; unset: somebody else manages them. Asked for after `onServed`. */
  rolePasswords?: RolePasswords | (() => Promise<RolePasswords>);
  /** The schema is current, and an API has served it before. What this throws leaves the passwords as they are. */
  onServed?: (tx: Transaction) => Promise<void>;
  /** Longest wait for others that change the schema, milliseconds. */
  turnTimeoutMs?: number;
  /** Longest wait for one lock, milliseconds; then the file is tried again, ten times in all. */
  lockTimeoutMs?: number;
  onApplied?: (name: string) => void;
}

/**
 * Brings the schema up to this version, each file in its own transaction. Safe to run from many processes at once: they
 * take turns under an advisory lock and the later ones find nothing to do.
 * @throws when a file that was applied has changed, or the database is newer than this program
 */
export async function migrate(options: MigrateOptions): Promise<number> {
  const client = new pg.Client({ connectionString: options.url, connectionTimeoutMillis: 10_000 });
  await client.connect();
  try {
    await waitForSchema(client, options.turnTimeoutMs);
    await refuseInterrupted(client);
    return await migrateHeld(client, options);
  } finally {
    // Ending the session releases the lock.
    await client.end();
  }
}

/** The same in a session that holds the schema already. */
export async function migrateHeld(
  client: pg.Client,
  options: Omit<MigrateOptions, 'url' | 'turnTimeoutMs'>,
): Promise<number> {
  const migrations = readMigrations(options.folder ?? migrationsFolder());
  // Waiting for another process that migrates is fine; holding up everybody's statements behind ours is not.
  await client.query(`SET lock_timeout = '${options.lockTimeoutMs ?? LOCK_TIMEOUT_MS}ms'`);
  await client.query(MIGRATIONS_TABLE);
  const applied = await client.query<{ number: number; name: string; checksum: string }>(
    'SELECT number, name, checksum FROM public.felucca_migrations ORDER BY number',
  );
  checkHistory(applied.rows, migrations);
  const pending = migrations.slice(applied.rows.length);
  for (const migration of pending) {
    await applyPatiently(client, migration);
    options.onApplied?.(migration.name);
  }
  if (options.onServed && (await wasServed(client))) await options.onServed(client);
  const { rolePasswords = {} } = options;
  await setPasswords(client, typeof rolePasswords === 'function' ? await rolePasswords() : rolePasswords);
  await client.query('RESET lock_timeout');
  return pending.length;
}

/** The first process that serves writes down which server this is. */
export async function wasServed(tx: Transaction): Promise<boolean> {
  return (await tx.query({ text: 'SELECT FROM felucca.feed_lineage' })).rowCount !== 0;
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

/** A long transaction of somebody else: everybody else goes on, and we come back for the lock. */
async function applyPatiently(client: pg.Client, migration: Migration): Promise<void> {
  for (let attempt = 1; ; attempt += 1)
    try {
      return await apply(client, migration);
    } catch (error) {
      if (sqlState((error as Error).cause) !== LOCK_NOT_AVAILABLE || attempt >= LOCK_ATTEMPTS) throw error;
      await delay(LOCK_PAUSE_MS);
    }
}

async function apply(client: pg.Client, migration: Migration): Promise<void> {
  await client.query('BEGIN');
  try {
    // The first one makes the owner; all others must leave objects that belong to it.
    if (migration.number > 1) await client.query(`SET LOCAL ROLE ${OWNER}`);
    // Row-level security is forced on the owner too: without this it would change no row and say nothing.
    await client.query('SET LOCAL row_security = off');
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

/** As verifiers: a server that logs statements writes no password into its log. Written only where one differs. */
async function setPasswords(client: pg.Client, passwords: RolePasswords): Promise<void> {
  const { rows } = await client.query<{ readable: boolean }>(
    "SELECT has_table_privilege('pg_authid', 'SELECT') AS readable",
  );
  for (const [role, password] of Object.entries(passwords)) {
    const verifier = scramVerifier(role, password);
    if (rows[0]?.readable) {
      const { rowCount } = await client.query(
        'SELECT FROM pg_authid WHERE rolname = $1 AND rolpassword = $2',
        [role, verifier],
      );
      if (rowCount === 1) continue;
    }
    await client.query(`ALTER ROLE ${pg.escapeIdentifier(role)} PASSWORD ${pg.escapeLiteral(verifier)}`);
  }
}
