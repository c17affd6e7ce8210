import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, type SupervisedChild, startChild } from '@felucca/dev';
import type { Admin } from './admin.ts';

export const OPERATOR_NAMESPACE = 'felucca-system';
const PROBE_TIMEOUT_MS = 5_000;
const repository = fileURLToPath(new URL('../../..', import.meta.url));
export const OPERATOR_ENTRY = join(repository, 'operator/src/main.ts');
const RESTART_AFTER_MS = 100;
export const LEASE = `/apis/coordination.k8s.io/v1/namespaces/${OPERATOR_NAMESPACE}/leases/felucca-operator`;

export interface OperatorChildOptions {
  readonly name: string;
  readonly admin: Admin;
  readonly kubeconfigPath: string;
  readonly logPath: string;
  readonly cacheDir: string;
  /** Another build of the operator: a mutant, an older version. */
  readonly entry?: string;
  readonly nodeArgs?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** One operator process, as the chart would run it. */
export class OperatorChild {
  readonly logPath: string;
  readonly #options: OperatorChildOptions;
  readonly #port: number;
  /** How often it ended without being told to; it is started again, as a kubelet does. */
  crashes = 0;
  #child: SupervisedChild | undefined;
  #isOver = false;

  private constructor(options: OperatorChildOptions, port: number) {
    this.#options = options;
    this.#port = port;
    this.logPath = options.logPath;
  }

  static async prepare(options: OperatorChildOptions): Promise<OperatorChild> {
    return new OperatorChild(options, await freePort());
  }

  get running(): boolean {
    return this.#child?.running ?? false;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Does nothing while one runs, and after the end. */
  start(): void {
    if (this.running || this.#isOver) return;
    const { name, kubeconfigPath, logPath, cacheDir, entry = OPERATOR_ENTRY, nodeArgs = [] } = this.#options;
    const onExit = (): void => {
      this.crashes += 1;
      setTimeout(() => this.start(), RESTART_AFTER_MS);
    };
    this.#child = startChild(
      {
        name,
        command: process.execPath,
        args: [...nodeArgs, entry],
        logPath,
        cwd: repository,
        env: {
          PATH: process.env['PATH'] ?? '',
          NODE_ENV: 'production',
          NODE_COMPILE_CACHE: cacheDir,
          KUBECONFIG: kubeconfigPath,
          POD_NAME: name,
          POD_NAMESPACE: OPERATOR_NAMESPACE,
          METRICS_HOST: '127.0.0.1',
          METRICS_PORT: String(this.#port),
          ...this.#options.env,
        },
      },
      { onExit },
    );
  }

  /** SIGKILL. The next one need not wait for the Lease of the dead to expire, unless that is what is tested. */
  async kill(options: { keepLease?: boolean } = {}): Promise<void> {
    await this.#child?.kill();
    if (!options.keepLease) await this.releaseLease();
  }

  /** Killed, and whoever still means to start it again starts nothing. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.kill({ keepLease: true });
  }

  async restart(): Promise<void> {
    await this.kill();
    this.start();
  }

  /** SIGTERM, and as long as it takes. */
  async stop(): Promise<void> {
    await this.#child?.stop(30_000);
  }

  pause(): void {
    this.#child?.pause();
  }

  resume(): void {
    this.#child?.resume();
  }

  /** Says that nobody holds it; the term goes on counting. */
  async releaseLease(): Promise<void> {
    const patch = { spec: { holderIdentity: '' } };
    await this.#options.admin.call('PATCH', LEASE, patch, 'application/merge-patch+json');
  }

  /** Ready and the leader. */
  async works(): Promise<boolean> {
    if (!this.running) return false;
    const [ready, metrics] = await Promise.all([this.#get('/readyz'), this.#get('/metrics')]);
    return ready?.ok === true && /^leader_election_master_status\{[^}]*\} 1$/m.test(await metrics!.text());
  }

  /** Sum of a metric's samples whose labels contain `labels`. */
  async metric(name: string, labels = ''): Promise<number> {
    const text = (await (await this.#get('/metrics'))?.text()) ?? '';
    return text
      .split('\n')
      .filter((line) => (line.startsWith(`${name}{`) || line.startsWith(`${name} `)) && line.includes(labels))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  }

  async probe(path: '/healthz' | '/readyz'): Promise<string> {
    const response = await this.#get(path);
    return response ? `${response.status} ${await response.text()}` : 'no answer';
  }

  async #get(path: string): Promise<Response | undefined> {
    // One that is paused takes the connection and says nothing.
    const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
    return fetch(`http://127.0.0.1:${this.#port}${path}`, { signal }).catch(() => undefined);
  }
}
