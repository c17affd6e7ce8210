import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, NODE_FLAGS, type SupervisedChild, startChild, waitUntil } from '@felucca/dev';

export interface ApiOptions {
  /** The bundle, as the image has it. */
  program: string;
  databaseUrl: string;
  /** Keys, which all processes share, and logs. */
  folder: string;
  number: number;
  /** A folder for a CPU profile of all its life. */
  profile?: string | undefined;
}

/** As the chart has it: between "not ready" and the drain, so that load balancers have noticed. */
export const DRAIN_DELAY_MS = 3_000;
const CLOCK_TICKS_PER_SECOND = 100;

/** Of the right size and of nobody: the simulated operators verify none. */
export const NOBODYS_KID = 'fs_benchbenchbenchbenchbe';

/** One process of the control API, on a port that it keeps. */
export class ApiProcess {
  readonly url: string;
  /** It said so, and was not told to end since. */
  isReady = false;
  private readonly child: SupervisedChild;
  private readonly options: ApiOptions;
  private readonly env: Record<string, string>;

  private constructor(options: ApiOptions, port: number) {
    this.options = options;
    this.url = `http://127.0.0.1:${port}`;
    this.env = {
      PATH: process.env['PATH'] ?? '',
      NODE_ENV: 'production',
      DATABASE_URL: options.databaseUrl,
      FELUCCA_KEY_DIR: join(options.folder, 'keys'),
      // Of rows that are written straight into the tables.
      FELUCCA_LOST_SIGNING_KEYS: NOBODYS_KID,
      PORT: String(port),
      DRAIN_DELAY_MS: String(DRAIN_DELAY_MS),
    };
    this.child = startChild({
      name: `control-api-${options.number}`,
      command: 'sh',
      args: [
        '-c',
        'ulimit -n "$(ulimit -Hn)"; exec "$0" "$@"',
        process.execPath,
        ...NODE_FLAGS['control-api'],
        ...(options.profile ? ['--cpu-prof', `--cpu-prof-dir=${options.profile}`] : []),
        options.program,
      ],
      logPath: join(options.folder, `control-api-${options.number}.log`),
      env: this.env,
    });
  }

  static async start(options: ApiOptions): Promise<ApiProcess> {
    const api = new ApiProcess(options, await freePort());
    await api.untilReady();
    return api;
  }

  /** A platform key, made as a person would make it. */
  createKey(): string {
    const args = [this.options.program, 'create-key'];
    return execFileSync(process.execPath, args, { env: this.env, encoding: 'utf8' }).trim();
  }

  private async probe(): Promise<boolean> {
    const answer = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(2_000) });
    await answer.arrayBuffer();
    this.isReady = answer.ok;
    return this.isReady;
  }

  async untilReady(): Promise<void> {
    await waitUntil(`${this.url} is ready`, () => this.probe(), {
      timeoutMs: 60_000,
      children: [this.child],
    });
  }

  /** SIGTERM; resolves when it has ended, by itself or not. */
  async terminate(): Promise<{ code: number | null; tookMs: number }> {
    const startMs = performance.now();
    this.isReady = false;
    await this.child.stop(60_000);
    return { code: this.child.lastExit?.code ?? null, tookMs: performance.now() - startMs };
  }

  async kill(): Promise<void> {
    this.isReady = false;
    await this.child.kill('SIGKILL');
  }

  async restart(): Promise<void> {
    await this.child.restart();
    await this.untilReady();
  }

  get rssBytes(): number {
    const status = readFileSync(`/proc/${this.child.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024;
  }

  /** User and system, since it started. */
  get cpuSeconds(): number {
    const fields = readFileSync(`/proc/${this.child.pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
  }

  async metrics(): Promise<string> {
    return (await fetch(`${this.url}/metrics`)).text();
  }

  async stop(): Promise<void> {
    await this.child.stop(25_000);
  }
}
