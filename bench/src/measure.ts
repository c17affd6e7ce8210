import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Cluster, startCluster } from '@felucca/dev';
import {
  AUDIT_POLICY,
  CEILING_FLAGS,
  type Contestant,
  operatorKubeconfig,
  PEER_MODULE,
} from './contestants.ts';
import type { Run } from './reconcile-table.ts';

/** For each of the four phases that work; a slow machine needs 80 ms for an object. */
const phaseLimitMs = (instances: number): number => 300_000 + instances * 120;
const run = promisify(execFile);

/** The peer, the driver and the ceiling; returns the folder of the programs. */
export async function buildPeers(): Promise<string> {
  const binaries = join(PEER_MODULE, 'bin');
  await run('go', ['build', '-o', `${binaries}/`, './cmd/...'], {
    cwd: PEER_MODULE,
    env: { ...process.env, GOTOOLCHAIN: 'auto', CGO_ENABLED: '0' },
    timeout: 900_000,
  });
  return binaries;
}

/** A fresh control plane that writes to its disk and audits what the operator does. */
export async function withCluster<T>(
  provider: 'kwok' | 'bare',
  act: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  const cluster = await startCluster({
    name: 'bench-reconcile',
    provider,
    durableWrites: true,
    auditPolicy: AUDIT_POLICY,
  });
  try {
    return await act(cluster);
  } finally {
    await cluster.stop();
  }
}

const pidsOf = (cluster: Cluster): string =>
  Object.entries(cluster.processes)
    .map(([name, child]) => `${name}=${child.identity()?.pid}`)
    .join(',');

export interface Load {
  instances: number;
  /** Created per second; 0: as fast as it goes. */
  rate: number;
  /** Called with the running cluster while the driver works. */
  beside?: (cluster: Cluster) => void;
}

/** One operator on a control plane of its own, from the first object to the last. */
export async function measure(contestant: Contestant, binaries: string, load: Load): Promise<Run> {
  return withCluster('kwok', async (cluster) => {
    const kubeconfig = await operatorKubeconfig(cluster);
    await contestant.prepare(cluster);
    const command = await contestant.command(kubeconfig, binaries);
    if (contestant.ready) await whileItRuns(command, cluster, () => contestant.ready?.(cluster));
    const folder = join(cluster.stateDir, 'bench');
    mkdirSync(folder, { recursive: true });
    const result = join(folder, 'result.json');
    load.beside?.(cluster);
    await run(
      join(binaries, 'driver'),
      [
        ...contestant.flags,
        ...[`-server=${cluster.server}`, `-token=${cluster.adminToken}`, `-operator=${command}`],
        ...[`-operator-log=${join(folder, 'operator.log')}`, `-audit-log=${cluster.stateDir}/logs/audit.log`],
        ...[`-pids=${pidsOf(cluster)}`, `-n=${load.instances}`, `-rate=${load.rate}`, `-out=${result}`],
        `-limit=${phaseLimitMs(load.instances)}ms`,
        `-label=${contestant.name}`,
      ],
      { timeout: 4 * phaseLimitMs(load.instances), maxBuffer: 16 * 1024 * 1024 },
    ).catch((error: Error & { stderr?: string }) => {
      const log = join(folder, 'operator.log');
      const tail = existsSync(log) ? readFileSync(log, 'utf8').slice(-3_000) : '';
      throw new Error(`${contestant.name}: ${error.stderr?.slice(-2_000) || error.message}\n${tail}`);
    });
    return JSON.parse(readFileSync(result, 'utf8')) as Run;
  });
}

export async function whileItRuns(
  command: string,
  cluster: Cluster,
  act: () => Promise<void> | undefined,
): Promise<void> {
  const child = spawn('sh', ['-c', `exec ${command}`], { stdio: 'ignore', cwd: cluster.stateDir });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  try {
    await act();
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
}

/** Writes a second of the same children without an operator. */
export async function ceiling(binaries: string, instances: number): Promise<number> {
  return withCluster('bare', async (cluster) => {
    const flags = [...CEILING_FLAGS, `-server=${cluster.server}`, `-token=${cluster.adminToken}`];
    await run(join(binaries, 'ceiling'), [...flags, '-n=50', '-prefix=warm-']);
    const { stdout } = await run(join(binaries, 'ceiling'), [...flags, `-n=${Math.min(instances, 1000)}`]);
    return (JSON.parse(stdout) as { per_s: number }).per_s;
  });
}
