import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { checkClient, majorOf, runClient } from './client-programs.ts';
import { mustHaveFelucca, serverVersion, withClient } from './database.ts';
import { DUMP_FILE, fingerprint, MANIFEST_FILE, type Manifest } from './manifest.ts';
import { Refusal } from './refusal.ts';

export interface BackupOptions {
  url: string;
  /** A folder that does not exist yet. */
  to: string;
  kid: string | undefined;
  now: () => Date;
  say: (line: string) => void;
}

/** A consistent dump while everything goes on. What it does not hold, the keys, it says. */
export async function backup({ url, to, kid, now, say }: BackupOptions): Promise<number> {
  return withClient(url, async (client) => {
    const version = await serverVersion(client);
    const tool = await checkClient('pg_dump', majorOf(version));
    await mustHaveFelucca(client, say);
    await seesAllRows(client);
    await mkdir(to, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      throw new Refusal(
        `${to} cannot be made: ${error.code}`,
        'name a folder that does not exist yet, in one that does',
      );
    });
    const { rows, dump } = await write(client, { url, to, kid, now, tool, version }).catch(async (error) => {
      await rm(to, { recursive: true, force: true });
      throw error;
    });
    say(`${rows.instances} Instances of ${rows.organizations} organizations, ${dump.bytes} bytes in ${to}`);
    say(
      'The keys are not in it. Without the same signing key no operator takes a row, and nothing can be adopted; without',
    );
    say('the same role-secret no API key is known. Keep FELUCCA_KEY_DIR apart from the dump, and as safe.');
    return 0;
  });
}

async function write(
  client: pg.Client,
  { url, to, kid, now, tool, version }: Omit<BackupOptions, 'say'> & { tool: string; version: string },
): Promise<Manifest> {
  // Dump and manifest read the same snapshot, which lives as long as this transaction.
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  const { rows } = await client.query<{ snapshot: string }>('SELECT pg_export_snapshot() AS snapshot');
  const told = await readContents(client);
  const file = join(to, DUMP_FILE);
  await runClient(
    'pg_dump',
    [
      ...['--format=custom', '--schema=felucca', `--snapshot=${rows[0]?.snapshot}`, `--file=${file}`],
      // Wherever the dump goes, and whoever puts it there: without a lineage the API begins new epochs when it starts.
      '--exclude-table-data=felucca.feed_lineage',
    ],
    url,
  );
  const manifest: Manifest = {
    format: 1,
    takenAt: now().toISOString(),
    tool,
    ...told,
    server: { ...told.server, version },
    ...(kid === undefined ? {} : { signingKey: kid }),
    dump: await fingerprint(file),
  };
  // Last: a folder without it is not a backup.
  await writeFile(join(to, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o600 });
  return manifest;
}

/** @throws Refusal of a role that row-level security would show no rows, so that pg_dump would stop half-way */
async function seesAllRows(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ all: boolean; name: string }>(
    'SELECT rolsuper OR rolbypassrls AS "all", rolname AS name FROM pg_roles WHERE rolname = current_user',
  );
  if (!rows[0]?.all)
    throw new Refusal(
      `role "${rows[0]?.name}" does not see the rows of all tenants`,
      'take the backup as a role with BYPASSRLS, or as a superuser; give that role to nothing else',
    );
}

async function readContents(
  client: pg.Client,
): Promise<Pick<Manifest, 'server' | 'migrations' | 'rows' | 'dataPlanes'>> {
  const one = async <Row extends pg.QueryResultRow>(text: string) => (await client.query<Row>(text)).rows;
  const [server] = await one<{ systemIdentifier: string; timeline: number }>(
    `SELECT s.system_identifier::text AS "systemIdentifier", c.timeline_id AS timeline
       FROM pg_control_system() s, pg_control_checkpoint() c`,
  );
  const migrations = await one<Manifest['migrations'][number]>(
    'SELECT number, name, checksum FROM public.felucca_migrations ORDER BY number',
  );
  if (!server || migrations.length === 0)
    throw new Refusal('the database has no schema of Felucca', 'is DATABASE_URL right?');
  const [rows] = await one<Manifest['rows']>(
    `SELECT (SELECT count(*)::int FROM felucca.organizations WHERE deleted_at IS NULL) AS organizations,
            (SELECT count(*)::int FROM felucca.instances WHERE deleted_at IS NULL) AS instances,
            (SELECT count(*)::int FROM felucca.blueprints) AS blueprints`,
  );
  const dataPlanes = await one<Manifest['dataPlanes'][number]>(
    `SELECT p.id, p.name, h.epoch, h.head::text FROM felucca.data_planes p
       JOIN felucca.feed_heads h ON h.data_plane_id = p.id WHERE p.deleted_at IS NULL ORDER BY p.name`,
  );
  return { server: { version: '', ...server }, migrations, rows: rows!, dataPlanes };
}
