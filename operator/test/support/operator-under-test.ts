import { type ChildProcess, spawn } from 'node:child_process';
import { endsWithUs, freePort } from '@felucca/dev';

const MAIN = new URL('../../src/main.ts', import.meta.url).pathname;

/** The real program as a process of its own. */
export interface OperatorUnderTest {
  child: ChildProcess;
  port: number;
  log(): string;
}

export async function spawnOperator(env: Record<string, string>): Promise<OperatorUnderTest> {
  const port = await freePort();
  let text = '';
  const child = spawn(...endsWithUs(process.execPath, [MAIN]), {
    env: {
      PATH: process.env['PATH'] ?? '',
      METRICS_HOST: '127.0.0.1',
      METRICS_PORT: String(port),
      LEASE_DURATION_MS: '3000',
      ...env,
    },
  });
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      text += chunk;
    });
  return { child, port, log: () => text };
}

export const metricsOf = async ({ port }: OperatorUnderTest): Promise<string> =>
  (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
