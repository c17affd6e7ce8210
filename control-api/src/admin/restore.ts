import { join } from 'node:path';
import type pg from 'pg';
import { INTERRUPTED, schemasOf } from '../db/interrupted-restore.ts';
import { migrationsFolder, readMigrations } from '../db/migrate.ts';
import { SIGNING_KEY_FILES } from '../feed/signer.ts';
import { checkClient, endFormerRestore, majorOf, runClient } from './client-programs.ts';
import { serverVersion, withSchema } from './database.ts';
import { DUMP_FILE, type Manifest, readManifest } from './manifest.ts';
import { beginNewEpochs, type EpochOptions, nobodyConnected } from './new-epoch.ts';
import { Refusal } from './refusal.ts';
import { dropReplaced, makeRoom, putBack } from './replaced-schema.ts';

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
  return withSchema(url, async (client) => {
    const server = majorOf(await serverVersion(client));
    if (server < majorOf(manifest.server.version))
      throw new Refusal(
        `the backup is of Postgres ${manifest.server.version}, and this server is older`,
        'restore into the same major version or a newer one',
      );
    await checkClient('pg_restore', server);
    await nobodyConnected(client, options.connected);
    await endFormerRestore(client, say);
    await makeRoom(client, manifest, replace);
    try {
      // All or nothing. The database is named by the environment; without an option pg_restore would write a script.
      const whole = ['--single-transaction', '--exit-on-error', '--dbname='];
      await runClient('pg_restore', [...whole, join(from, DUMP_FILE)], url);
      await mustBeRestored(client, manifest);
    } catch (error) {
      await putBack(client).catch(interrupted(error as Error));
      throw error;
    }
    await dropReplaced(client);
    say(`restored the state of ${manifest.takenAt}`);
    return beginNewEpochs(client, options);
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

/** Nothing is dropped for what is not there. @throws Refusal when pg_restore did not load the dump into this database */
async function mustBeRestored(client: pg.Client, { dataPlanes }: Manifest): Promise<void> {
  if ((await schemasOf(client)).felucca && (await countKnown(client, dataPlanes)) === dataPlanes.length)
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

/** Neither is the dump in its place nor is it as it was, as when the server has ended. */
const interrupted = (cause: Error) => (): never => {
  throw new Refusal(`${cause.message}; ${INTERRUPTED.message}`, INTERRUPTED.remedy);
};
