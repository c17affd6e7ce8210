import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startPostgres } from '@felucca/dev/postgres';
import pg from 'pg';
import { migrate } from './src/db/migrate.ts';

/**
 * `npm run generate`: schema.sql, what all migrations add up to, read back from a real server's catalogue.
 * For review only; nothing runs it.
 */
const SECTIONS: [title: string, sql: string][] = [
  [
    'Tables',
    `SELECT format(E'CREATE TABLE %s (\\n%s\\n)%s;', c.oid::regclass,
       (SELECT string_agg(line, E',\\n' ORDER BY part, n) FROM (
          SELECT 1 AS part, a.attnum::int AS n, format('  %s %s%s%s%s', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
              CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
              CASE WHEN a.attidentity = 'a' THEN ' GENERATED ALWAYS AS IDENTITY' ELSE '' END,
              coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')) AS line
            FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          UNION ALL
          SELECT 2, row_number() OVER (ORDER BY k.contype DESC, k.conname)::int,
              format('  CONSTRAINT %I %s', k.conname, pg_get_constraintdef(k.oid))
            FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u', 'c', 'f')) AS lines),
       coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', '')) AS line
     FROM pg_class c WHERE c.relnamespace = 'felucca'::regnamespace AND c.relkind = 'r' ORDER BY c.relname`,
  ],
  [
    'Indexes',
    `SELECT pg_get_indexdef(i.indexrelid) || ';' AS line FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
      WHERE c.relnamespace = 'felucca'::regnamespace
        AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid) ORDER BY c.relname`,
  ],
  [
    'Functions',
    `SELECT pg_get_functiondef(p.oid) || ';' AS line FROM pg_proc p
      WHERE p.pronamespace = 'felucca'::regnamespace ORDER BY p.proname`,
  ],
  [
    'Row-level security',
    `SELECT line FROM (
       SELECT c.relname, '' AS name, format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY%s;', c.oid::regclass,
           CASE WHEN c.relforcerowsecurity THEN ', FORCE ROW LEVEL SECURITY' ELSE '' END) AS line
         FROM pg_class c WHERE c.relnamespace = 'felucca'::regnamespace AND c.relrowsecurity
       UNION ALL
       SELECT c.relname, p.polname, format('CREATE POLICY %I ON %s FOR %s TO %s%s%s;', p.polname, c.oid::regclass,
           CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
           (SELECT string_agg(quote_ident(r.rolname), ', ' ORDER BY r.rolname) FROM pg_roles r WHERE r.oid = ANY (p.polroles)),
           coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', ''),
           coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', ''))
         FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = 'felucca'::regnamespace) AS rules
     ORDER BY relname, name`,
  ],
  [
    'Grants',
    `SELECT format('GRANT %s ON %s TO %s;', string_agg(g.privilege_type, ', ' ORDER BY g.privilege_type),
        'felucca.' || quote_ident(g.table_name), quote_ident(g.grantee)) AS line
       FROM information_schema.role_table_grants g
      WHERE g.table_schema = 'felucca' AND g.grantee IN ('felucca_app', 'felucca_feed')
      GROUP BY g.table_name, g.grantee ORDER BY g.table_name, g.grantee`,
  ],
];

const server = await startPostgres({ name: 'schema' });
try {
  const url = await server.createDatabase('schema');
  await migrate({ url });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const parts = ['-- Generated from migrations/ by "npm run generate", for review. Do not edit, do not run.'];
  for (const [title, sql] of SECTIONS) {
    const { rows } = await client.query<{ line: string }>(sql);
    parts.push(`-- ${title}`, rows.map((row) => row.line.trimEnd()).join('\n'));
  }
  await client.end();
  const path = fileURLToPath(new URL('schema.sql', import.meta.url));
  writeFileSync(path, `${parts.join('\n\n')}\n`);
  process.stdout.write(`${path}\n`);
} finally {
  await server.stop();
}
