import { globSync, readFileSync } from 'node:fs';
import { type PostgresServer, startPostgres } from '@felucca/dev/postgres';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { migrate } from '../src/db/migrate.ts';
import { APP_ROLE, FEED_ROLE, urlAs } from '../src/db/role-passwords.ts';

const A = '00000000-0000-7000-8000-00000000000a';
const B = '00000000-0000-7000-8000-00000000000b';
const DP = '00000000-0000-7000-8000-0000000000d0';

let server: PostgresServer;
let owner: pg.Client;
let app: pg.Client;
let tenantTables: string[];

beforeAll(async () => {
  server = await startPostgres({ name: 'tenancy' });
  const url = await server.createDatabase('tenancy');
  await migrate({ url, rolePasswords: { [APP_ROLE]: 'a', [FEED_ROLE]: 'f' } });
  owner = new pg.Client({ connectionString: url });
  app = new pg.Client({ connectionString: urlAs(url, APP_ROLE, 'a') });
  await owner.connect();
  await app.connect();
  tenantTables = (
    await owner.query(
      `SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'felucca' AND c.relkind = 'r'
          AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')
        ORDER BY 1`,
    )
  ).rows.map((row) => row.name);
  await owner.query(fixture());
});
afterAll(async () => {
  await app?.end();
  await owner?.end();
  await server?.stop();
});

const statements = globSync(new URL('../../docs/runbooks/*.md', import.meta.url).pathname).flatMap((page) =>
  [...readFileSync(page, 'utf8').matchAll(/`(SELECT [^`]+)`/g)].map((match) => match[1]!),
);

test.each(statements.filter((text) => !text.includes('<')))('a runbook may ask: %s', async (text) => {
  await owner.query(text);
});

describe('catalogue', () => {
  test('every table with a tenant has forced row-level security, policies for its roles and the tenant first in its key', async () => {
    const { rows } = await owner.query(
      `SELECT c.relname AS name, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced,
              pg_get_userbyid(c.relowner) AS owner,
              EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tenant'
                        AND p.polqual IS NOT NULL AND p.polwithcheck IS NOT NULL) AS policy,
              (SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
                WHERE i.indrelid = c.oid AND i.indisprimary) AS first
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'felucca' AND c.relname = ANY($1) ORDER BY 1`,
      [tenantTables],
    );
    expect(tenantTables.length).toBeGreaterThanOrEqual(10);
    for (const row of rows)
      expect(row).toEqual({
        name: row.name,
        enabled: true,
        forced: true,
        owner: 'felucca_owner',
        policy: true,
        first: 'tenant_id',
      });
  });

  test('every table of a tenant that data planes report into is found by data plane as well', async () => {
    const { rows } = await owner.query(
      `SELECT c.relname AS name FROM pg_class c
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'data_plane_id'
        WHERE c.relnamespace = 'felucca'::regnamespace AND c.relname = ANY($1)
          AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indkey[0] = a.attnum)`,
      [tenantTables],
    );
    expect(rows).toEqual([]);
  });

  test('there is no view, materialised view or definer function that could lead around the policies', async () => {
    const { rows: views } = await owner.query(
      `SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'felucca' AND c.relkind IN ('v', 'm')`,
    );
    const { rows: definers } = await owner.query(
      `SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'felucca' AND p.prosecdef`,
    );
    expect([views, definers]).toEqual([[], []]);
  });

  test('the roles of the API are neither superuser nor bypass row-level security, and own nothing', async () => {
    const { rows } = await owner.query(
      `SELECT rolname, rolsuper, rolbypassrls,
              (SELECT count(*)::int FROM pg_class WHERE relowner = r.oid) AS owns
         FROM pg_roles r WHERE rolname IN ('felucca_app', 'felucca_feed') ORDER BY 1`,
    );
    expect(rows).toEqual([
      { rolname: 'felucca_app', rolsuper: false, rolbypassrls: false, owns: 0 },
      { rolname: 'felucca_feed', rolsuper: false, rolbypassrls: false, owns: 0 },
    ]);
  });
});

describe('another tenant', () => {
  const as = async (tenant: string | undefined, sql: string): Promise<number | string> => {
    await app.query('BEGIN');
    try {
      if (tenant !== undefined) await app.query("SELECT set_config('app.tenant_id', $1, true)", [tenant]);
      return (await app.query(sql)).rowCount ?? 0;
    } catch (error) {
      return (error as { code: string }).code;
    } finally {
      await app.query('ROLLBACK');
    }
  };
  const DENIED = '42501';

  test('can select, update or delete no row of any table; neither can a session without tenant or with an empty one', async () => {
    for (const table of tenantTables) {
      const { rows } = await owner.query(
        `SELECT count(*)::int AS n FROM felucca.${table} WHERE tenant_id = '${A}'`,
      );
      expect(rows[0].n, `${table} has a row to protect`).toBeGreaterThan(0);
      for (const tenant of [B, undefined, ''])
        for (const sql of [
          `SELECT 1 FROM felucca.${table} WHERE tenant_id = '${A}'`,
          `UPDATE felucca.${table} SET tenant_id = '${B}' WHERE tenant_id = '${A}'`,
          `DELETE FROM felucca.${table} WHERE tenant_id = '${A}'`,
        ])
          expect([0, DENIED], `${sql} as "${tenant}"`).toContain(await as(tenant, sql));
      // Without this the loop above would also pass on an empty grant.
      if (!['audit'].includes(table))
        expect(await as(A, `SELECT 1 FROM felucca.${table}`), `${table} as its tenant`).toBeGreaterThan(0);
    }
  });

  test('can insert no row for somebody else into any table', async () => {
    for (const table of tenantTables) {
      const copy = `INSERT INTO felucca.${table} SELECT * FROM jsonb_populate_record(NULL::felucca.${table}, $1)`;
      const { rows } = await owner.query(
        `SELECT to_jsonb(t) AS row FROM felucca.${table} t WHERE tenant_id = '${A}' LIMIT 1`,
      );
      await app.query('BEGIN');
      await app.query("SELECT set_config('app.tenant_id', $1, true)", [B]);
      // 42501 insufficient privilege or policy; 428C9 a generated identity, which is refused before the policy.
      const code = await app.query(copy, [rows[0].row]).then(
        () => 'inserted',
        (error) => error.code,
      );
      await app.query('ROLLBACK');
      expect([DENIED, '428C9'], table).toContain(code);
    }
  });

  test('a context set in one transaction is gone in the next one of the same connection', async () => {
    await as(A, 'SELECT 1');
    expect(await as(undefined, 'SELECT 1 FROM felucca.instances')).toBe(0);
  });

  test("an order cannot refer to another tenant's Instance", async () => {
    const sql = `INSERT INTO felucca.operations (tenant_id, id, instance_id, data_plane_id, kind, generation)
      SELECT '${B}', gen_random_uuid(), '${A}', '${DP}', 'update', 1`;
    expect(await as(B, sql)).toBe('23503');
  });
});

/** One row of tenant A in each table. */
function fixture(): string {
  return `
    INSERT INTO felucca.organizations (id, name) VALUES ('${A}', 'a'), ('${B}', 'b');
    INSERT INTO felucca.data_planes (id, name) VALUES ('${DP}', 'dp');
    INSERT INTO felucca.feed_heads (data_plane_id, epoch) VALUES ('${DP}', 'e');
    INSERT INTO felucca.blueprints (name, version, digest, spec) VALUES ('tiny', '1.0.0', 'd', '{}');
    INSERT INTO felucca.api_keys (tenant_id, id, name, scope, secret_hash) VALUES ('${A}', '${A}', 'k', 'organization', 'x');
    INSERT INTO felucca.instances (tenant_id, id, name, data_plane_id, blueprint_name, blueprint_version, parameters)
      VALUES ('${A}', '${A}', 'site', '${DP}', 'tiny', '1.0.0', '{}');
    INSERT INTO felucca.operations (tenant_id, id, instance_id, data_plane_id, kind, generation)
      VALUES ('${A}', '${A}', '${A}', '${DP}', 'create', 1);
    INSERT INTO felucca.audit (tenant_id, id, actor, action, object) VALUES ('${A}', '${A}', 'k', 'x', 'y');
    INSERT INTO felucca.idempotency_keys (tenant_id, key, fingerprint) VALUES ('${A}', 'k', 'f');
    INSERT INTO felucca.desired (tenant_id, data_plane_id, kind, key, id, rev, generation, hash, kid, sig)
      VALUES ('${A}', '${DP}', 'Instance', 'a/site', '${A}', 1, 1, 'h', 'k', 's');
    INSERT INTO felucca.observed (tenant_id, data_plane_id, kind, key, id, local, generation, session, observed_seq, digest)
      VALUES ('${A}', '${DP}', 'Instance', 'a/site', '${A}', false, 1, 's', 1, 'h');
    INSERT INTO felucca.drift (tenant_id, data_plane_id, kind, key, object_id, object, path, expected, actual, manager, action, detected_at)
      VALUES ('${A}', '${DP}', 'Instance', 'a/site', '${A}', 'o', '/p', '1', '2', 'm', 'corrected', now());
    INSERT INTO felucca.nacks (tenant_id, data_plane_id, kind, key, id, rev, hash, code, message, retryable)
      VALUES ('${A}', '${DP}', 'Instance', 'a/site', '${A}', 1, 'h', 'c', 'm', false);
    INSERT INTO felucca.unknown_objects (tenant_id, data_plane_id, kind, key, id) VALUES ('${A}', '${DP}', 'Instance', 'a/x', 'x');
    INSERT INTO felucca.held_deletions (tenant_id, data_plane_id, kind, key, id, generation, message)
      VALUES ('${A}', '${DP}', 'Instance', 'a/site', '${A}', 2, 'm');`;
}
