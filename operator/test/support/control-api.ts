import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endsWithUs, freePort } from '@felucca/dev';
import { type PostgresServer, startPostgres } from '@felucca/dev/postgres';
import { eventually } from './eventually.ts';

const MAIN = new URL('../../../control-api/src/main.ts', import.meta.url).pathname;
const ADMIN = new URL('../../../control-api/src/admin/main.ts', import.meta.url).pathname;
const KEY = `fel_`;

/** The real control-api as a process, on a real Postgres, with a platform key. */
export class ControlApi {
  readonly url: string;
  private key = '';
  private child: ChildProcess | undefined;
  /** Its end. */
  log = '';
  postgres: PostgresServer;
  /** FELUCCA_KEY_DIR. */
  readonly keyDir: string;
  private readonly env: Record<string, string>;

  private constructor(postgres: PostgresServer, keyDir: string, env: Record<string, string>) {
    this.postgres = postgres;
    this.keyDir = keyDir;
    this.env = env;
    this.url = `http://127.0.0.1:${env['PORT']}`;
  }

  static async start(name: string, settings: Record<string, string> = {}): Promise<ControlApi> {
    const postgres = await startPostgres({ name, settings });
    const keyDir = await mkdtemp(join(tmpdir(), 'felucca-keys-'));
    const api = new ControlApi(postgres, keyDir, {
      PATH: process.env['PATH'] ?? '',
      DATABASE_URL: await postgres.ensureDatabase('felucca'),
      FELUCCA_KEY_DIR: keyDir,
      HOST: '127.0.0.1',
      PORT: String(await freePort()),
    });
    await api.command('migrate');
    api.key = (await api.command('create-key')).split('\n').find((line) => line.startsWith(KEY)) ?? '';
    await api.run();
    return api;
  }

  get databaseUrl(): string {
    return this.env['DATABASE_URL'] ?? '';
  }

  /** Goes on with the database of another server; the process must not run. Who the former one belongs to stops it. */
  useServer(postgres: PostgresServer): void {
    this.postgres = postgres;
    this.env['DATABASE_URL'] = postgres.url.replace(/\/postgres$/, '/felucca');
  }

  /** `felucca admin`, as whoever runs the database calls it. */
  admin(...args: string[]): Promise<string> {
    return this.program(ADMIN, args, { FELUCCA_URL: this.url, FELUCCA_KEY: this.key });
  }

  async run(): Promise<void> {
    const child = spawn(...endsWithUs(process.execPath, [MAIN]), {
      env: this.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => {
        this.log = (this.log + chunk).slice(-1_000_000);
      });
    this.child = child;
    await eventually('control-api is ready', async () => (await fetch(`${this.url}/readyz`)).ok, 60_000);
  }
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }
  async stop(): Promise<void> {
    await this.kill('SIGTERM');
    await this.postgres.stop();
    await rm(this.keyDir, { recursive: true, force: true });
  }

  async call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    // biome-ignore lint/suspicious/noExplicitAny: answers of the API
  ): Promise<any> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.key}`,
        'if-match': '*',
        ...headers,
        ...(body === undefined
          ? {}
          : { 'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  }

  private command(name: string): Promise<string> {
    return this.program(MAIN, [name], {});
  }

  private async program(path: string, args: string[], more: Record<string, string>): Promise<string> {
    const child = spawn(process.execPath, [path, ...args], { env: { ...this.env, ...more } });
    let text = '';
    let problem = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      problem += chunk;
    });
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`${args.join(' ')}: ${code} ${problem}`);
    return `${text}${path === ADMIN ? problem : ''}`;
  }
}

/** One ConfigMap: ready as soon as it exists, so no node is needed. */
export const CONFIG_BLUEPRINT = {
  name: 'web',
  version: '1.0.0',
  parameters: { type: 'object', properties: { size: { type: 'integer', default: 1 } } },
  nodes: [
    {
      id: 'config',
      manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { size: '${string(params.size)}' } },
    },
  ],
};
