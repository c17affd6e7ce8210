import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Cluster } from '@felucca/dev';
import { type Contestant, controllerRuntime, felucca } from './contestants.ts';
import { buildPeers, measure } from './measure.ts';

/**
 * `node bench/src/profile.ts [felucca|controller-runtime] [instances]`: where the API server's CPU goes in the first
 * seconds of a burst. `go tool pprof -top -cum <file>` reads what it writes.
 */
const SECONDS = 10;
const [name = 'felucca', instances = '1000'] = process.argv.slice(2);
const folder = join(import.meta.dirname, '../profiles');
const run = promisify(execFile);

async function profile(contestant: Contestant, cluster: Cluster): Promise<void> {
  const group = contestant === felucca ? 'felucca.dev' : 'peer.dev';
  const list = `/apis/${group}/v1alpha1/instances?limit=1`;
  while (!(await cluster.kubectl(['get', '--raw', list])).includes('"uid"'))
    await new Promise((resolve) => setTimeout(resolve, 200));
  const path = join(folder, `${contestant.name}.pb.gz`);
  const url = `${cluster.server}/debug/pprof/profile?seconds=${SECONDS}`;
  mkdirSync(folder, { recursive: true });
  await run('curl', ['-sSk', '-H', `Authorization: Bearer ${cluster.adminToken}`, '-o', path, url]);
  process.stderr.write(`${path}\n`);
}

const contestant = name === 'felucca' ? felucca : controllerRuntime;
const result = await measure(contestant, await buildPeers(), {
  instances: Number(instances),
  rate: 0,
  beside: (cluster) => void profile(contestant, cluster),
});
process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
