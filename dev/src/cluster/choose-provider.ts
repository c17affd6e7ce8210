import { execFile } from 'node:child_process';
import type { Provider } from './cluster.ts';

const dockerProbeMs = 5_000;

/** `auto` prefers what runs real containers: kind where Docker answers, else nodes, else kwok. */
export async function chooseProvider(wanted: Provider | 'auto'): Promise<Provider> {
  if (wanted !== 'auto') {
    if (wanted === 'nodes' && !canRunNodes()) {
      throw new Error('Provider "nodes" needs Linux and root; use kind (with Docker) or kwok instead');
    }
    return wanted;
  }
  if (await dockerAnswers()) return 'kind';
  return canRunNodes() ? 'nodes' : 'kwok';
}

function canRunNodes(): boolean {
  return process.platform === 'linux' && process.getuid?.() === 0;
}

function dockerAnswers(): Promise<boolean> {
  return new Promise((resolve) => {
    execFile(
      'docker',
      ['info', '--format', '{{.ServerVersion}}'],
      { timeout: dockerProbeMs },
      (error, stdout) => {
        resolve(error === null && stdout.trim() !== '');
      },
    );
  });
}
