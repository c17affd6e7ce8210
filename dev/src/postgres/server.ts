import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { startChild } from '../process/child.ts';
import { freePort } from '../process/free-port.ts';
import { identify } from '../process/identity.ts';
import { logTail } from '../process/log-tail.ts';
import { unexpectedEnd } from '../process/unexpected-end.ts';
import { waitUntil } from '../process/wait-until.ts';
import { readableServer, serverAccount } from './files.ts';

const SERVER_VERSION = '18.4';
const DUPLICATE_DATABASE = '42P04';
const startAttempts = 20;
const root = '/var/tmp/felucca';

export interface PostgresOptions {
  name: string;
  /** Keep data, port and password for the next start, make commits durable, and start it again when it ends. */
  persistent?: boolean;
  /** Log and, for a persistent server, port and password. */
  stateDir?: string;
  onProgress?: (line: string) => void;
  settings?: Record<string, string>;
  /** Folder with bin/ of another server than the embedded one. */
  installation?: string;
  /** Begins with the data of another server instead of its own: a base backup, which `password` belongs to. */
  seed?: { password: string; fill: (dataDir: string) => void };
}

export interface PostgresServer {
  /** Superuser, database `postgres`. */
  readonly url: string;
  readonly dataDir: string;
  readonly logPath: string;
  /** A fresh database on this server; its URL. */
  createDatabase(name: string): Promise<string>;
  /** The same, for one that may be there from the last start. */
  ensureDatabase(name: string): Promise<string>;
  /** One statement as superuser, in the database `postgres` unless another is named. */
  ask(sql: string, database?: string): Promise<Record<string, unknown>[]>;
  /** Clean stop (fast shutdown) and start: connections are cut. */
  restart(): Promise<void>;
  /** As a power cut would leave it. `restart` brings it back. */
  kill(): Promise<void>;
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
}

/**
 * The embedded Postgres 18 on a free loopback port. Works as root by running under an unprivileged account,
 * whose data therefore lives in a folder of its own under /var/tmp.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const account = serverAccount();
  const native = options.installation ?? readableServer(account, SERVER_VERSION);
  const home = homeFolder(options, account);
  const dataDir = join(home, 'data');
  const logPath = join(options.stateDir ?? home, 'postgres.log');
  const { seed } = options;
  const password = remembered(
    join(home, 'password'),
    () => seed?.password ?? randomBytes(24).toString('base64url'),
  );
  if (seed) seed.fill(dataDir);
  else if (!existsSync(join(dataDir, 'PG_VERSION'))) {
    options.onProgress?.(`postgres: initialising ${dataDir}`);
    initialise(native, dataDir, join(home, 'password'), account);
  }
  const port = await keptPort(join(home, 'port'));
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
  const spec = {
    name: 'postgres',
    command: asAccount(account)[0],
    args: [
      ...asAccount(account)[1],
      join(native, 'bin/postgres'),
      ...serverArgs(options, dataDir, home, port),
    ],
    logPath,
    cwd: home,
    env: { LC_ALL: 'C', PATH: process.env['PATH'] ?? '', LD_LIBRARY_PATH: join(native, 'lib') },
  };
  const onExit = unexpectedEnd({
    ...spec,
    say: options.onProgress ?? (() => undefined),
    restart: () => restart(),
  });
  // Until it answers, whoever waits for that hears of an end.
  let serving = false;
  const child = startChild(spec, { onExit: (exit) => serving && options.persistent && onExit(exit) });
  const answering = async () => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await waitUntil(
          'postgres accepts connections',
          () => query(url, 'SELECT 1').then(() => true),
          {
            timeoutMs: 30_000,
            children: [child],
          },
        );
      } catch (error) {
        // The workers of a killed server need a moment to notice; until then its shared memory is in use.
        const lingering = /shared memory block|postmaster\.pid|unexpected postmaster exit/.test(
          logTail(logPath),
        );
        if (child.running || !lingering || attempt === startAttempts) throw error;
        await delay(200);
        await child.restart();
      }
    }
  };
  const restart = async () => {
    serving = false;
    // SIGINT is Postgres' fast shutdown; SIGTERM would wait for every client to leave.
    if (child.running) await child.kill('SIGINT');
    await child.restart();
    await answering();
    serving = true;
  };
  try {
    await answering();
    serving = true;
  } catch (error) {
    await child.kill();
    if (!options.persistent) rmSync(home, { recursive: true, force: true });
    throw error;
  }
  options.onProgress?.(`postgres: ready on port ${port}, log ${logPath}`);
  const createDatabase = async (name: string) => {
    await query(url, `CREATE DATABASE "${name.replaceAll('"', '')}"`);
    return url.replace(/\/postgres$/, `/${name}`);
  };
  return {
    url,
    dataDir,
    logPath,
    createDatabase,
    ask: (sql, database = 'postgres') => query(url.replace(/\/postgres$/, `/${database}`), sql),
    async ensureDatabase(name) {
      try {
        return await createDatabase(name);
      } catch (error) {
        if ((error as { code?: string }).code !== DUPLICATE_DATABASE) throw error;
        return url.replace(/\/postgres$/, `/${name}`);
      }
    },
    restart,
    kill: async () => void (await child.kill('SIGKILL')),
    pause: () => child.pause(),
    resume: () => child.resume(),
    async stop() {
      if (child.running) await child.kill('SIGINT');
      if (!options.persistent) rmSync(home, { recursive: true, force: true });
    },
  };
}

/** Forgets a persistent server that does not run. */
export function removePostgresData(name: string): void {
  rmSync(join(root, `${homePrefix()}${name}`), { recursive: true, force: true });
}

const homePrefix = (): string => `pg-${process.getuid?.() ?? 0}-`;

function homeFolder(options: PostgresOptions, account: { uid: number; gid: number } | undefined): string {
  const unique = options.persistent
    ? options.name
    : `tmp-${options.name}-${process.pid}-${randomBytes(3).toString('hex')}`;
  const prefix = homePrefix();
  const home = join(root, `${prefix}${unique}`);
  mkdirSync(home, { recursive: true });
  chmodSync(root, 0o755);
  forgetDead(`${prefix}tmp-`);
  if (account) chownSync(home, account.uid, account.gid);
  chmodSync(home, 0o700);
  return home;
}

/** Removes what temporary servers of killed processes left; the name ends in the pid and six random digits. */
function forgetDead(prefix: string): void {
  for (const entry of readdirSync(root).filter((name) => name.startsWith(prefix))) {
    const pid = Number(/-(\d+)-[0-9a-f]{6}$/.exec(entry)?.[1]);
    if (pid > 0 && identify(pid) === undefined) rmSync(join(root, entry), { recursive: true, force: true });
  }
}

/** The port of the last start, or another one if something took it meanwhile. */
async function keptPort(file: string): Promise<number> {
  const before = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
  const port = await freePort(undefined, before).catch(() => freePort());
  writeFileSync(file, String(port), { mode: 0o600 });
  return port;
}

function remembered(path: string, make: () => string): string {
  if (existsSync(path)) return readFileSync(path, 'utf8');
  const value = make();
  writeFileSync(path, value, { mode: 0o600 });
  return value;
}

function initialise(
  native: string,
  dataDir: string,
  passwordFile: string,
  account: { uid: number; gid: number } | undefined,
): void {
  if (account) chownSync(passwordFile, account.uid, account.gid);
  const [command, args] = asAccount(account);
  execFileSync(
    command,
    [
      ...args,
      join(native, 'bin/initdb'),
      '-D',
      dataDir,
      '--username=postgres',
      '--auth=scram-sha-256',
      `--pwfile=${passwordFile}`,
      '--encoding=UTF8',
      '--locale=C',
      '--no-sync',
      '--data-checksums',
    ],
    {
      stdio: 'pipe',
      timeout: 60_000,
      cwd: root,
      env: { LC_ALL: 'C', PATH: process.env['PATH'] ?? '', LD_LIBRARY_PATH: join(native, 'lib') },
    },
  );
}

/** `env` when nothing must change, so that both cases are one command line. */
function asAccount(account: { uid: number; gid: number } | undefined): [string, string[]] {
  if (!account) return ['env', []];
  // Dropping privileges clears the parent-death signal, so it is set again on this side of the change.
  return [
    'setpriv',
    [`--reuid=${account.uid}`, `--regid=${account.gid}`, '--clear-groups', '--pdeathsig', 'KILL', '--'],
  ];
}

function serverArgs(options: PostgresOptions, dataDir: string, home: string, port: number): string[] {
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: home,
    max_connections: '200',
    shared_buffers: '128MB',
    wal_level: 'replica',
    // Tests need speed, not durability; what must survive kill -9 of the API does not depend on fsync.
    ...(options.persistent ? {} : { fsync: 'off', full_page_writes: 'off' }),
    ...options.settings,
  };
  return ['-D', dataDir, ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`])];
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 3_000 });
  // A server that goes away mid-query must reject the promise, not crash the process.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
