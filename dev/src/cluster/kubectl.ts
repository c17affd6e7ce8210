import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { resolveBinary } from '../binaries/resolve.ts';
import type { KubectlOptions } from './cluster.ts';

const outputLimit = 64 * 1024 * 1024;

/** A kubectl bound to one kubeconfig; discovery is cached in the cluster's own folder. */
export function kubectlFor(kubeconfigPath: string | undefined, stateDir: string) {
  return async (args: readonly string[], options: KubectlOptions = {}): Promise<string> => {
    const binary = await resolveBinary('kubectl');
    const env = {
      ...process.env,
      ...(kubeconfigPath === undefined ? {} : { KUBECONFIG: kubeconfigPath }),
      KUBECACHEDIR: join(stateDir, 'kubectl-cache'),
    };
    return run(binary, args, env, options);
  };
}

function run(
  binary: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  options: KubectlOptions,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    let problem = '';
    const abort = (why: string) => {
      problem = why;
      child.kill('SIGKILL');
    };
    const timeoutMs = options.timeoutMs ?? 60_000;
    const timer = setTimeout(() => abort(`took over ${timeoutMs} ms`), timeoutMs);
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
      if (stdout.length > outputLimit) abort(`printed more than ${outputLimit} bytes`);
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr = (stderr + chunk).slice(-8192);
    });
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      if (code === 0 && problem === '') return resolve(stdout);
      reject(new Error(`kubectl ${args.join(' ')} failed (${problem || `exit ${code}`}): ${stderr.trim()}`));
    });
    child.stdin.on('error', () => {
      // EPIPE when kubectl fails before it reads; its exit code tells the story.
    });
    child.stdin.end(options.stdin ?? '');
  });
}
