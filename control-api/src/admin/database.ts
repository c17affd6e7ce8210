import pg from 'pg';
import { Refusal } from './refusal.ts';

/** Not connected yet. @throws Refusal when node-pg does not understand the URL, or cannot read a file that it names */
export function clientOf(url: string): pg.Client {
  try {
    return new pg.Client({ connectionString: url, application_name: 'felucca-admin' });
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

export async function serverVersion(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
  return rows[0]?.server_version ?? '';
}
