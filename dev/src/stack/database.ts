import { join } from 'node:path';
import pg from 'pg';
import { type PostgresServer, startPostgres } from '../postgres/index.ts';
import type { StackOptions } from './index.ts';
import { databaseName, type StateFolder } from './state.ts';

export interface StackDatabase {
  readonly url: string;
  /** Embedded only: cuts every connection. */
  restart(): Promise<void>;
  kill(): Promise<void>;
  readonly server: PostgresServer | undefined;
  stop(): Promise<void>;
}

const database = 'felucca';

/** The embedded server, or one of your own, which is neither started nor stopped. */
export async function openDatabase(
  options: StackOptions,
  state: StateFolder,
  say: (line: string) => void,
): Promise<StackDatabase> {
  if (options.databaseUrl !== undefined) {
    say(`your own server, by DATABASE_URL: ${placeOf(options.databaseUrl)}`);
    const refuse = async () => {
      throw new Error('this Postgres is your own; the stack does not restart it');
    };
    return {
      url: options.databaseUrl,
      restart: refuse,
      kill: refuse,
      server: undefined,
      stop: async () => undefined,
    };
  }
  const server = await startPostgres({
    name: options.persistent ? databaseName(state.path) : options.name,
    persistent: options.persistent,
    stateDir: state.logs,
    onProgress: say,
  });
  try {
    return {
      url: await server.ensureDatabase(database),
      restart: () => server.restart(),
      kill: () => server.kill(),
      server,
      stop: () => server.stop(),
    };
  } catch (error) {
    await server.stop();
    throw new Error(`cannot create database ${database}; log ${join(state.logs, 'postgres.log')}`, {
      cause: error,
    });
  }
}

/** Where control-api, too, would connect. @throws naming the variable; what the URL says is not repeated, a password may be in it */
export function placeOf(databaseUrl: string): string {
  try {
    const { host, port } = new pg.Client({ connectionString: databaseUrl });
    return `${host}:${port}`;
  } catch (error) {
    throw new Error(
      `DATABASE_URL cannot be used (${(error as Error).message}); write postgres://role:password@host:5432/database, or ` +
        'postgres://role:password@/database?host=/folder/of/the/socket',
    );
  }
}
