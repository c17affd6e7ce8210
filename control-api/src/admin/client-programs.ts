import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type pg from 'pg';
import { environmentOf } from './client-environment.ts';
import { Refusal } from './refusal.ts';

/** Of "pg_dump (PostgreSQL) 18.4" or a server's "18.4 (Debian …)". */
export const majorOf = (version: string): number =>
  Number(/(\d+)(\.\d+|devel|beta\d+|rc\d+)/.exec(version)?.[1]);

/** What the server lists their sessions under. */
const NAMES = { pg_dump: 'felucca-dump', pg_restore: 'felucca-restore' };
const END_TIMEOUT_MS = 30_000;

/** Runs pg_dump or pg_restore on the database that `url` names. */
export async function runClient(
  program: 'pg_dump' | 'pg_restore',
  args: string[],
  url: string,
): Promise<void> {
  const env = { ...environmentOf(url, process.env), PGAPPNAME: NAMES[program] };
  const { exitCode, errors } = await spawned(program, args, env);
  if (exitCode === 0) return;
  throw new Refusal(
    `${program} failed: ${errors.trim().slice(-2_000)}`,
    'nothing of Felucca was changed by this step',
  );
}

/**
 * pg_restore outlives a restore that is killed. For whoever holds the schema, so that it is nobody else's.
 * @throws Refusal when it does not end
 */
export async function endFormerRestore(client: pg.Client, say: (line: string) => void): Promise<void> {
  const { rows } = await client.query<{ pid: number; ended: boolean }>(
    `SELECT pid, pg_terminate_backend(pid, $2) AS ended FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = $1`,
    [NAMES.pg_restore, END_TIMEOUT_MS],
  );
  const running = rows.filter(({ ended }) => !ended).map(({ pid }) => pid);
  if (running.length > 0)
    throw new Refusal(
      `pg_restore of an interrupted restore is still at work (server process ${running.join(', ')})`,
      'wait until it has ended, then restore again',
    );
  if (rows.length > 0) say('ended pg_restore of an interrupted restore');
}

/**
 * The major version of a client program in PATH. A client of an older major refuses a newer server, or writes what the
 * server does not take; a newer one is fine.
 * @throws Refusal when it is missing or older than `server`
 */
export async function checkClient(program: 'pg_dump' | 'pg_restore', server: number): Promise<string> {
  const { exitCode, output } = await spawned(program, ['--version'], process.env);
  const install = `install the Postgres ${server} client programs, or put them first in PATH`;
  if (exitCode !== 0) throw new Refusal(`${program} was not found`, install);
  const version = output.trim();
  if (majorOf(version) < server)
    throw new Refusal(`${version} is older than the server, which is Postgres ${server}`, install);
  return version;
}

async function spawned(program: string, args: string[], env: NodeJS.ProcessEnv) {
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    errors = `${errors}${chunk}`.slice(-10_000);
  });
  const [exitCode] = await once(child, 'close').catch((): [number] => [127]);
  return { exitCode: exitCode as number, output, errors };
}
