import pg from 'pg';
import { INTERRUPTED, REPLACED, schemasOf } from '../db/interrupted-restore.ts';
import { takeSchema } from '../db/schema-lock.ts';
import { Refusal } from './refusal.ts';

/** Not connected yet. @throws Refusal when node-pg does not understand the URL, or cannot read a file that it names */
export function clientOf(url: string): pg.Client {
  try {
    return new pg.Client({ connectionString: url, application_name: 'felucca-admin', keepAlive: true });
  } catch (error) {
    throw new Refusal(
      `DATABASE_URL cannot be used: ${(error as Error).message}`,
      'correct it, or the file that it names',
    );
  }
}

/** One connection for as long as `work` takes. */
export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = clientOf(url);
  // Of a connection that ends while nothing is asked, the next statement tells.
  client.on('error', () => {});
  await client.connect().catch((error: Error) => {
    const { host, port } = client;
    throw new Refusal(
      `no connection to the database at ${host}:${port}: ${error.message}`,
      'is the server up, and does DATABASE_URL name it, its database, and a role with its password?',
    );
  });
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** The same for whoever changes the schema. @throws Refusal when another process does at the moment */
export function withSchema<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  return withClient(url, async (client) => {
    const holder = await takeSchema(client);
    if (holder !== undefined)
      throw new Refusal(
        `another process is changing the schema of this database: a migration, a restore or a new epoch (server process ${holder})`,
        'wait until it has ended, then see what is left to do',
      );
    // The lock lives as long as this session, which waits while pg_restore works.
    await client.query('SET idle_session_timeout = 0');
    return work(client);
  });
}

export async function inTransaction<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
  await client.query('BEGIN');
  try {
    const result = await work();
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}

/** @throws Refusal saying where what was there is, if a restore was interrupted */
export async function mustHaveFelucca(client: pg.Client, say: (line: string) => void): Promise<void> {
  const { felucca, replaced } = await schemasOf(client);
  if (!felucca && replaced) throw new Refusal(INTERRUPTED.message, INTERRUPTED.remedy);
  if (!felucca) throw new Refusal('there is no Felucca in this database', 'is DATABASE_URL right?');
  if (replaced)
    say(`schema ${REPLACED} is what an interrupted restore replaced; drop it when nobody wants it any more`);
}

export async function serverVersion(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
  return rows[0]?.server_version ?? '';
}
