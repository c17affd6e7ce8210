import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PostgresServer, startPostgres } from '@felucca/dev/postgres';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { migrate, migrationsFolder, readMigrations } from '../src/db/migrate.ts';

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
