import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Cluster, startCluster } from '@felucca/dev';
import {
  AUDIT_POLICY,
  CEILING_FLAGS,
  type Contestant,
  controllerRuntime,
  felucca,
  operatorKubeconfig,
  PEER_MODULE,
} from './contestants.ts';
import { compare, type Run } from './reconcile-table.ts';

/**
 * `node bench/src/reconcile.ts [instances]`: our operator, one in Go on controller-runtime that makes the same children,
 * and the same writes without any operator, one after the other on a fresh control plane each.
 */
const INSTANCES = Number(process.argv[2] ?? 1000);
const UNLOADED = 50;
const UNLOADED_PER_SECOND = 5;
const RUN_TIMEOUT_MS = 1_200_000;

const run = promisify(execFile);
const say = (line: string) => process.stderr.write(`${line}\n`);

async function buildPeers(): Promise<string> {
  const binaries = join(PEER_MODULE, 'bin');
  say('building the peer and the driver (Go) …');
  await run('go', ['build', '-o', `${binaries}/`, './cmd/...'], {
    cwd: PEER_MODULE,
    env: { ...process.env, GOTOOLCHAIN: 'auto', CGO_ENABLED: '0' },
    timeout: 900_000,
  });
  return binaries;
}

async function withCluster<T>(provider: 'kwok' | 'bare', act: (cluster: Cluster) => Promise<T>): Promise<T> {
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

async function measure(contestant: Contestant, binaries: string, count: number, rate: number): Promise<Run> {
  return withCluster('kwok', async (cluster) => {
    const kubeconfig = await operatorKubeconfig(cluster);
    await contestant.prepare(cluster);
    const command = contestant.command(kubeconfig, binaries);
    if (contestant.ready) await whileItRuns(command, cluster, () => contestant.ready?.(cluster));
    const folder = join(cluster.stateDir, 'bench');
    mkdirSync(folder, { recursive: true });
    const result = join(folder, 'result.json');
    say(`${contestant.name}: ${count} Instances${rate > 0 ? `, ${rate} a second` : ''}`);
    await run(
      join(binaries, 'driver'),
      [
        ...contestant.flags,
        ...[`-server=${cluster.server}`, `-token=${cluster.adminToken}`, `-operator=${command}`],
        ...[`-operator-log=${join(folder, 'operator.log')}`, `-audit-log=${cluster.stateDir}/logs/audit.log`],
        ...[`-pids=${pidsOf(cluster)}`, `-n=${count}`, `-rate=${rate}`, `-out=${result}`],
        `-label=${contestant.name}`,
      ],
      { timeout: RUN_TIMEOUT_MS, maxBuffer: 16 * 1024 * 1024 },
    ).catch((error: Error & { stderr?: string }) => {
      const log = join(folder, 'operator.log');
      const tail = existsSync(log) ? readFileSync(log, 'utf8').slice(-3_000) : '';
      throw new Error(`${contestant.name}: ${error.stderr?.slice(-2_000) || error.message}\n${tail}`);
    });
    return JSON.parse(readFileSync(result, 'utf8')) as Run;
  });
}

async function whileItRuns(
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
async function ceiling(binaries: string): Promise<number> {
  return withCluster('bare', async (cluster) => {
    const flags = [...CEILING_FLAGS, `-server=${cluster.server}`, `-token=${cluster.adminToken}`];
    await run(join(binaries, 'ceiling'), [...flags, '-n=50', '-prefix=warm-']);
    const { stdout } = await run(join(binaries, 'ceiling'), [...flags, `-n=${Math.min(INSTANCES, 1000)}`]);
    return (JSON.parse(stdout) as { per_s: number }).per_s;
  });
}

const binaries = await buildPeers();
const perSecond = await ceiling(binaries);
say(`ceiling: ${perSecond} writes/s`);
const burst = {
  felucca: await measure(felucca, binaries, INSTANCES, 0),
  peer: await measure(controllerRuntime, binaries, INSTANCES, 0),
};
const calm = {
  felucca: await measure(felucca, binaries, UNLOADED, UNLOADED_PER_SECOND),
  peer: await measure(controllerRuntime, binaries, UNLOADED, UNLOADED_PER_SECOND),
};
const output = [
  `${cpus().length} cores, ${INSTANCES} Instances with three children each, etcd with fsync, ${new Date().toISOString().slice(0, 10)}`,
  '',
  compare(burst, calm, perSecond, INSTANCES),
].join('\n');
process.stdout.write(`${output}\n`);
const name = `results-reconcile-${INSTANCES}.md`;
writeFileSync(new URL(`../${name}`, import.meta.url), `# make bench ARGS=${INSTANCES}\n\n${output}\n`);
