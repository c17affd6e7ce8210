import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { controllerRuntime, felucca } from './contestants.ts';
import { buildPeers, ceiling, measure } from './measure.ts';
import { compare } from './reconcile-table.ts';

/**
 * `node bench/src/reconcile.ts [instances]`: our operator, one in Go on controller-runtime that makes the same children,
 * and the same writes without any operator, one after the other on a fresh control plane each.
 */
const INSTANCES = Number(process.argv[2] ?? 1000);
/** Enough that half of them are measured with warm code, and that one in a hundred is not the slowest of all. */
const CALM = { instances: 300, rate: 5 };

const say = (line: string) => process.stderr.write(`${line}\n`);

say('building the peer and the driver (Go) …');
const binaries = await buildPeers();
const perSecond = await ceiling(binaries, INSTANCES);
say(`ceiling: ${perSecond} writes/s`);
const pair = async (load: { instances: number; rate: number }) => {
  say(
    `${load.instances} Instances${load.rate > 0 ? `, ${load.rate} a second` : ''}: Felucca, then controller-runtime`,
  );
  return {
    felucca: await measure(felucca, binaries, load),
    peer: await measure(controllerRuntime, binaries, load),
  };
};
const burst = await pair({ instances: INSTANCES, rate: 0 });
const calm = await pair(CALM);
const output = [
  `${cpus().length} cores, ${INSTANCES} Instances with three children each, etcd with fsync, ${new Date().toISOString().slice(0, 10)}`,
  '',
  compare(burst, calm, perSecond, INSTANCES),
].join('\n');
process.stdout.write(`${output}\n`);
const name = `results-reconcile-${INSTANCES}.md`;
writeFileSync(new URL(`../${name}`, import.meta.url), `# make bench ARGS=${INSTANCES}\n\n${output}\n`);
