import type { Client } from 'pg';
import { LOCK_NOT_AVAILABLE, sqlState } from './errors.ts';

/** Any constant will do, as long as every version of Felucca uses the same. */
const ADVISORY_LOCK = 7_235_420_118;
const TURN_TIMEOUT_MS = 60_000;

/**
 * Whoever changes what is in the schema, or puts another in its place, holds it until their session ends: migrations,
 * restores, new epochs.
 * @throws when somebody else holds it for longer than a migration takes
 */
export async function waitForSchema(client: Client, timeoutMs = TURN_TIMEOUT_MS): Promise<void> {
  await client.query(`SET lock_timeout = '${timeoutMs}ms'`);
  await client.query('SELECT pg_advisory_lock($1)', [ADVISORY_LOCK]).catch((error: unknown) => {
    if (sqlState(error) !== LOCK_NOT_AVAILABLE) throw error;
    throw new Error(
      `another process has been changing the schema for ${timeoutMs / 1_000} s, a migration or \`felucca admin restore\`; ` +
        'start again when it has ended',
    );
  });
}

/** @returns the server process of whoever holds it instead */
export async function takeSchema(client: Client): Promise<number | undefined> {
  const { rows } = await client.query<{ taken: boolean; holder: number | null }>(
    `SELECT pg_try_advisory_lock($1) AS taken, (SELECT pid FROM pg_locks
       WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32 | objid::bigint) = $1 AND objsubid = 1
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1) AS holder`,
    [ADVISORY_LOCK],
  );
  return rows[0]!.taken ? undefined : (rows[0]!.holder ?? 0);
}
