import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { environmentOf } from './client-environment.ts';
import { Refusal } from './refusal.ts';

/** Of "pg_dump (PostgreSQL) 18.4" or a server's "18.4 (Debian …)". */
export const majorOf = (version: string): number =>
  Number(/(\d+)(\.\d+|devel|beta\d+|rc\d+)/.exec(version)?.[1]);

/** Runs pg_dump or pg_restore on the database that `url` names. */
export async function runClient(
  program: 'pg_dump' | 'pg_restore',
  args: string[],
  url: string,
): Promise<void> {
  const { exitCode, errors } = await spawned(program, args, environmentOf(url, process.env));
  if (exitCode === 0) return;
  throw new Refusal(
    `${program} failed: ${errors.trim().slice(-2_000)}`,
    'nothing of Felucca was changed by this step',
  );
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
