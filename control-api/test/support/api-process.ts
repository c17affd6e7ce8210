import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { endsWithUs, freePort } from '@felucca/dev';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

const ADMIN = fileURLToPath(new URL('../../src/admin/main.ts', import.meta.url));

export interface Reply {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests assert on it
  body: any;
}

/** What a command came to. */
interface Ended {
  status: number | null;
  said: string;
}

/** The real program as a process of its own, with its database and key folder. */
export class ApiProcess {
  readonly url: string;
  readonly platformKey: string;
  readonly #env: Record<string, string>;
  /** Of whoever made it. */
  readonly #keyDir: string | undefined;
  #child: ChildProcess | undefined;
  log = '';

  private constructor(
    url: string,
    env: Record<string, string>,
    keyDir: string | undefined,
    platformKey: string,
  ) {
    this.url = url;
    this.#env = env;
    this.#keyDir = keyDir;
    this.platformKey = platformKey;
  }

  static async start(databaseUrl: string, more: Record<string, string> = {}): Promise<ApiProcess> {
    const keyDir = mkdtempSync(join(tmpdir(), 'felucca-keys-'));
    const port = await freePort();
    const env = {
      PATH: process.env['PATH'] ?? '',
      DATABASE_URL: databaseUrl,
      FELUCCA_KEY_DIR: keyDir,
      PORT: String(port),
      LOG_LEVEL: 'info',
      ...more,
    };
    const run = (command: string) =>
      execFileSync(process.execPath, [MAIN, command], {
        env,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      });
    run('migrate');
    const api = new ApiProcess(`http://127.0.0.1:${port}`, env, keyDir, run('create-key').trim());
    await api.restart();
    return api;
  }

  get keyDir(): string {
    return this.#env['FELUCCA_KEY_DIR'] ?? '';
  }

  /** @throws with what the command says */
  createKey(more: Record<string, string> = {}): string {
    return execFileSync(process.execPath, [MAIN, 'create-key'], {
      env: { ...this.#env, ...more },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
  }

  /** A second process of the same control plane. */
  async startAnother(more: Record<string, string> = {}): Promise<ApiProcess> {
    const port = await freePort();
    const env = { ...this.#env, PORT: String(port), ...more };
    const api = new ApiProcess(`http://127.0.0.1:${port}`, env, undefined, this.platformKey);
    await api.restart();
    return api;
  }

  /** `felucca admin`, with the environment of this process but for `more`. */
  admin(args: string[], more: Record<string, string> = {}): Ended {
    const { status, stdout, stderr } = spawnSync(process.execPath, [ADMIN, ...args], {
      env: { ...this.#env, ...more },
      encoding: 'utf8',
      // Nothing else is heard meanwhile, the test's own timeout included.
      timeout: 60_000,
    });
    return { status, said: `${stdout}${stderr}` };
  }

  /** The same, and the test goes on meanwhile. */
  startAdmin(
    args: string[],
    more: Record<string, string> = {},
  ): { child: ChildProcess; ended: Promise<Ended> } {
    const child = spawn(process.execPath, [ADMIN, ...args], { env: { ...this.#env, ...more } });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => {
        said += chunk;
      });
    // Not `close`: a killed one leaves its pipes to its children.
    const ended = new Promise<Ended>((resolve) => child.once('exit', (status) => resolve({ status, said })));
    return { child, ended };
  }

  async restart(more: Record<string, string> = {}): Promise<void> {
    const env = { ...this.#env, ...more };
    const child = spawn(...endsWithUs(process.execPath, [MAIN]), { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => {
        this.log = (this.log + chunk).slice(-100_000);
      });
    const end = performance.now() + 30_000;
    while (performance.now() < end) {
      if (child.exitCode !== null) throw new Error(`control-api exited with ${child.exitCode}:\n${this.log}`);
      const ready = await fetch(`${this.url}/readyz`).then(
        (r) => r.ok,
        () => false,
      );
      if (ready) return;
      await delay(30);
    }
    throw new Error(`control-api was not ready within 30 s:\n${this.log}`);
  }

  async signal(name: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (!child || child.exitCode !== null) return child?.exitCode ?? null;
    const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
    child.kill(name);
    return exited;
  }

  async stop(): Promise<void> {
    await this.signal('SIGTERM');
    if (this.#keyDir) rmSync(this.#keyDir, { recursive: true, force: true });
  }

  async call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    key = this.platformKey,
  ): Promise<Reply> {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === '' ? undefined : JSON.parse(text),
    };
  }
}
