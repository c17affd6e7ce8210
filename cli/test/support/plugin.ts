import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { delimiter, dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { resolveBinary } from '@felucca/dev';

const repository = join(import.meta.dirname, '../../..');

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Makes dist/cli anew, as `make bundle` does. */
export async function bundle(): Promise<void> {
  const { code, stderr } = await end(process.execPath, ['dev/src/images/cli.ts', 'bundle', 'cli'], {});
  if (code !== 0) throw new Error(stderr);
}

/** What a person with kubectl and our plugin in PATH gets. */
export async function kubectlPlugin(kubeconfig: string, args: readonly string[]): Promise<Ended> {
  const path = [join(repository, 'dist/cli'), dirname(process.execPath)].join(delimiter);
  return end(await resolveBinary('kubectl'), args, { PATH: path, KUBECONFIG: kubeconfig });
}

async function end(command: string, args: readonly string[], env: Record<string, string>): Promise<Ended> {
  const child = spawn(command, args, { cwd: repository, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { code, stdout, stderr };
}
