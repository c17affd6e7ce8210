import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { measureDelivery } from './link/delivery.ts';
import { measureNaive } from './link/naive.ts';
import { measureRolling } from './link/rolling.ts';
import type { Row } from './link/row.ts';
import { fillDataPlanes, measureReports, measureSnapshots } from './link/rows-of-many.ts';
import { LinkStage } from './link/stage.ts';
import { measureIdle, measureStorm } from './link/streams.ts';
import { measureThroughput } from './link/throughput.ts';
import { table } from './table.ts';

/**
 * `node bench/src/link.ts [--agents 10000] [--seconds 20] [--only delivery,storm]`: what the control plane's side of the
 * link takes. Agents and tenants are processes of their own, on the same machine.
 */
const { values: options } = parseArgs({
  options: {
    agents: { type: 'string', default: '10000' },
    seconds: { type: 'string', default: '20' },
    only: { type: 'string', default: 'delivery,idle,storm,throughput,snapshots,reports,rolling,naive' },
    out: { type: 'string' },
    profile: { type: 'string' },
  },
});
const AGENTS = Number(options.agents);
const FOR_MS = Number(options.seconds) * 1_000;
const only = new Set(options.only.split(','));
/** Orders a second while something else is measured. */
const RATE = 100;
const STORM_RATE = 50;
const CONNECTS_PER_SECOND = 220;
const INSTANCES = 100;
const share = (part: number): number => Math.max(1, Math.round(AGENTS * part));

const say = (line: string) => process.stderr.write(`${line}\n`);
const rows: Row[] = [];
const add = (...found: Row[]): void => {
  for (const row of found) {
    rows.push(row);
    const verdict = row.holds === undefined ? '' : row.holds ? ' ✓' : ' ✗';
    say(`${row.what}: ${row.measured}${row.goal === '' ? '' : ` (${row.goal})`}${verdict}`);
  }
};

/** Slower than admission allows, so that nobody is put off. */
async function connect(stage: LinkStage, from: number, to: number): Promise<void> {
  if (to <= from) return;
  const overMs = ((to - from) / CONNECTS_PER_SECOND) * 1_000;
  await stage.startAgents({ from, to, overMs, reports: true });
  await stage.untilAllCurrent(overMs + 60_000);
}

/** Streams that grow in number: deliveries with a tenth and a half of them, then all of them idle, and cut. */
async function streams(stage: LinkStage): Promise<void> {
  await stage.seed(AGENTS);
  const emptyBytes = stage.apis[0]!.rssBytes;
  let connected = 0;
  for (const streams of only.has('delivery') ? [share(0.1), share(0.5)] : []) {
    await connect(stage, connected, streams);
    connected = streams;
    add(...(await measureDelivery(stage, { streams, rate: RATE, forMs: FOR_MS })));
  }
  await connect(stage, connected, AGENTS);
  if (only.has('idle'))
    add(await measureIdle(stage, { streams: AGENTS, emptyBytes, forMs: Math.max(FOR_MS, 5_000) }));
  if (only.has('storm'))
    add(...(await measureStorm(stage, { streams: AGENTS, rate: STORM_RATE, forMs: FOR_MS })));
  await stage.stopAgents();
}

async function manyRows(stage: LinkStage): Promise<void> {
  // Beyond the others, which have rows of their own by now.
  const range = { from: AGENTS, to: AGENTS + share(0.1) };
  await fillDataPlanes(stage, range, INSTANCES);
  add(await measureSnapshots(stage, range, INSTANCES));
  if (only.has('reports')) add(...(await measureReports(stage, INSTANCES, FOR_MS)));
  await stage.stopAgents();
}

async function rolling(stage: LinkStage): Promise<void> {
  await stage.startApi();
  await stage.aim();
  const streams = share(0.2);
  await connect(stage, 0, streams);
  add(...(await measureRolling(stage, { streams, rate: RATE / 2 })));
  await stage.stopAgents();
}

const stage = await LinkStage.start('bench-link', { profile: options.profile, say });
try {
  if (only.has('delivery') || only.has('idle') || only.has('storm')) await streams(stage);
  if (only.has('throughput')) add(...(await measureThroughput(stage, FOR_MS)));
  if (only.has('snapshots') || only.has('reports')) await manyRows(stage);
  if (only.has('rolling')) await rolling(stage);
  if (only.has('naive')) add(...(await measureNaive(stage, FOR_MS / 2)));
} finally {
  await stage.stop();
}
const output = [
  `${cpus().length} cores for everything, Postgres with fsync, one process of the API unless it says otherwise, ${new Date().toISOString().slice(0, 10)}`,
  '',
  table(
    ['what', 'goal', 'measured', ''],
    rows.map(({ what, goal, measured, holds }) => [
      what,
      goal,
      measured,
      holds === undefined ? '' : holds ? 'yes' : 'no',
    ]),
  ),
].join('\n');
process.stdout.write(`${output}\n`);
if (options.out) writeFileSync(options.out, `# make bench\n\n${output}\n`);
