import { randomUUID } from 'node:crypto';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PostgresServer, startPostgres } from '@felucca/dev/postgres';
import pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { migrate, migrationsFolder, readMigrations } from '../src/db/migrate.ts';
import { urlAs } from '../src/db/role-passwords.ts';
import { takeSchema } from '../src/db/schema-lock.ts';

let server: PostgresServer;
let folder: string;
beforeAll(async () => {
  server = await startPostgres({ name: 'migrations' });
  folder = mkdtempSync(join(tmpdir(), 'felucca-migrations-'));
  cpSync(migrationsFolder(), folder, { recursive: true });
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await server?.stop();
});

test('twenty processes that migrate at once apply each file once', async () => {
  const url = await server.createDatabase('many');
  const applied = await Promise.all(Array.from({ length: 20 }, () => migrate({ url })));
  expect(applied.reduce((sum, count) => sum + count, 0)).toBe(readMigrations(folder).length);
});

test('a file that was changed after it had been applied is refused by name', async () => {
  const url = await server.createDatabase('changed');
  await migrate({ url, folder });
  writeFileSync(join(folder, '0002-resources.sql'), 'SELECT 1');
  await expect(migrate({ url, folder })).rejects.toThrow(/0002-resources\.sql was changed/);
});

test('a database newer than the program is refused', async () => {
  const url = await server.createDatabase('newer');
  await migrate({ url });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(
    "INSERT INTO public.felucca_migrations (number, name, checksum) VALUES (9999, '9999-later.sql', 'x')",
  );
  await client.end();
  await expect(migrate({ url })).rejects.toThrow(/9999-later\.sql.*newer version/);
});

test('passwords reach the server as verifiers, and are written only when they change', async () => {
  const url = await server.createDatabase('verifiers');
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const stored = async () => {
    const { rows } = await client.query(
      "SELECT rolpassword, xmin::text FROM pg_authid WHERE rolname = 'felucca_app'",
    );
    return rows[0];
  };
  await migrate({ url, rolePasswords: { felucca_app: 'first' } });
  const first = await stored();
  expect(first.rolpassword).toMatch(/^SCRAM-SHA-256\$4096:/);
  await migrate({ url, rolePasswords: { felucca_app: 'first' } });
  expect(await stored()).toEqual(first);
  await migrate({ url, rolePasswords: { felucca_app: 'second' } });
  expect(await stored()).not.toEqual(first);
  const login = new pg.Client({ connectionString: urlAs(url, 'felucca_app', 'second') });
  await login.connect();
  await login.end();
  await client.end();
});

/** This version's files and one more. */
async function withNext(sql: string, work: (folder: string) => Promise<void>): Promise<void> {
  const own = mkdtempSync(join(tmpdir(), 'felucca-migrations-'));
  cpSync(migrationsFolder(), own, { recursive: true });
  const number = String(readMigrations(own).length + 1).padStart(4, '0');
  writeFileSync(join(own, `${number}-next.sql`), sql);
  try {
    await work(own);
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

test('a migration waits for a long transaction without holding up the others behind it', async () => {
  const url = await server.createDatabase('patient');
  await migrate({ url });
  const connect = async () => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return client;
  };
  const [long, other] = await Promise.all([connect(), connect()]);
  await long.query('BEGIN; SELECT FROM felucca.audit');
  await withNext('ALTER TABLE felucca.audit ADD COLUMN wide int', async (own) => {
    const migrating = migrate({ url, folder: own, lockTimeoutMs: 200 });
    const isWaiting = async () => {
      const { rowCount } = await other.query(
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
      );
      return rowCount === 1;
    };
    while (!(await isWaiting()));
    // Queued behind the ALTER, it would wait for as long as the first transaction lasts.
    await other.query("SET statement_timeout = '5s'; SELECT FROM felucca.audit");
    await long.query('COMMIT');
    expect(await migrating).toBe(1);
  });
  await Promise.all([long.end(), other.end()]);
});

test('a migration that row-level security would make do nothing fails', async () => {
  const url = await server.createDatabase('silent');
  await withNext("UPDATE felucca.audit SET actor = 'x'", async (own) => {
    await expect(migrate({ url, folder: own })).rejects.toThrow(/row-level security policy/);
  });
});

test('a migration that cannot begin because somebody else changes the schema says so', async () => {
  const url = await server.createDatabase('taken');
  const other = new pg.Client({ connectionString: url });
  await other.connect();
  expect(await takeSchema(other)).toBeUndefined();
  await expect(migrate({ url, turnTimeoutMs: 50 })).rejects.toThrow(
    /another process has been changing the schema for 0\.05 s.*start again when it has ended/,
  );
  await other.end();
  expect(await migrate({ url })).toBeGreaterThan(0);
});

test('a refusal of before it named its row is of the one with its revision, or the likeliest; the policies hold again', async () => {
  const url = await server.createDatabase('refusals');
  const before = mkdtempSync(join(tmpdir(), 'felucca-migrations-'));
  onTestFinished(() => rmSync(before, { recursive: true, force: true }));
  for (const { name } of readMigrations(migrationsFolder()).filter(({ number }) => number < 19))
    cpSync(join(migrationsFolder(), name), join(before, name));
  await migrate({ url, folder: before });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  onTestFinished(() => client.end());
  const [tenant, plane] = [randomUUID(), randomUUID()];
  const row = (id: string, key: string, rev: number, isDeleted: boolean) =>
    client.query(
      `INSERT INTO felucca.desired (tenant_id, data_plane_id, kind, key, id, rev, generation, hash, kid, sig, deleted_at)
       VALUES ($1, $2, 'Instance', $3, $4, $5, 1, 'h', 'k', 's', $6)`,
      [tenant, plane, key, id, rev, isDeleted ? new Date() : null],
    );
  const refusal = (key: string, rev: number, code: string) =>
    client.query(
      `INSERT INTO felucca.nacks (tenant_id, data_plane_id, kind, key, rev, hash, code, message, retryable)
       VALUES ($1, $2, 'Instance', $3, $4, 'h', $5, 'm', true)`,
      [tenant, plane, key, rev, code],
    );
  await client.query("INSERT INTO felucca.data_planes (id, name) VALUES ($1, 'a')", [plane]);
  await row('former', 'a/held', 1, true);
  await row('next', 'a/held', 2, false);
  await refusal('a/held', 7, 'MASS_DELETE_HELD');
  await row('one', 'a/exact', 3, true);
  await row('two', 'a/exact', 4, false);
  await refusal('a/exact', 3, 'ApplyRejected');
  await refusal('a/nothing', 5, 'ApplyRejected');
  await migrate({ url });
  const { rows } = await client.query('SELECT key, id FROM felucca.nacks ORDER BY key');
  expect(rows).toEqual([
    { key: 'a/exact', id: 'one' },
    { key: 'a/held', id: 'former' },
  ]);
  const forced = await client.query(
    "SELECT count(*)::int AS n FROM pg_class WHERE relname IN ('desired', 'nacks') AND relforcerowsecurity",
  );
  expect(forced.rows).toEqual([{ n: 2 }]);
});
