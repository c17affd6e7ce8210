import type { Load, LoadPlan } from './load.ts';
import { listed, perSecond, type Row, spread, whole } from './row.ts';
import type { LinkStage } from './stage.ts';

const GOAL = { ordersPerSecond: 1_500, readsPerSecond: 3_000 };
/** Orders spread over so many data planes: one counter alone is the bound of a single one. */
const DATA_PLANES = 100;
const AT_ONCE = [16, 32];

/** As many orders, then reads, as one process of the API answers. */
export async function measureThroughput(stage: LinkStage, forMs: number): Promise<Row[]> {
  await stage.seed(DATA_PLANES);
  const plan = (atOnce: number, lastsMs: number) =>
    stage.plan({ from: 0, to: DATA_PLANES }, { perSecond: 0, atOnce, forMs: lastsMs });
  await stage.tenants.call('orders', plan(16, forMs / 4));
  const api = stage.apis[0]!;
  const run = async (what: 'orders' | 'reads', asked: LoadPlan): Promise<Run> => {
    const cpuBefore = api.cpuSeconds;
    const load = await stage.tenants.call(what, asked);
    return {
      atOnce: asked.atOnce,
      load,
      cpuMs: ((api.cpuSeconds - cpuBefore) * 1_000) / load.samplesMs.length,
    };
  };
  const orders = [];
  for (const atOnce of AT_ONCE) orders.push(await run('orders', plan(atOnce, forMs)));
  const bare = await stage.withBareServer(() =>
    stage.tenants.call('orders', plan(AT_ONCE.at(-1)!, forMs / 2)),
  );
  const { rows: instances } = await stage.admin.query<{ organization: string; instance: string }>(
    `SELECT o.name AS organization, i.name AS instance FROM felucca.instances i
     JOIN felucca.organizations o ON o.id = i.tenant_id WHERE i.deleted_at IS NULL LIMIT 5000`,
  );
  const subjects = instances.map((one) => ({ ...one, dataPlane: '' }));
  await stage.tenants.call('reads', { ...plan(16, forMs / 4), subjects });
  const reads = [];
  for (const atOnce of AT_ONCE) reads.push(await run('reads', { ...plan(atOnce, forMs), subjects }));
  return [
    row('orders accepted, each its transaction', orders, GOAL.ordersPerSecond),
    {
      what: 'the same by a server that writes the row and nothing else',
      goal: '',
      measured: `${whole(perSecond(bare.samplesMs.length, bare.tookMs))}/s (${spread(bare.samplesMs)})${listed(bare.others)}`,
    },
    row('Instances read', reads, GOAL.readsPerSecond),
  ];
}

interface Run {
  atOnce: number;
  load: Load;
  /** Of the API, for each request. */
  cpuMs: number;
}

function row(what: string, runs: Run[], goal: number): Row {
  const rates = runs.map(({ load }) => perSecond(load.samplesMs.length, load.tookMs));
  const measured = runs.map(
    ({ atOnce, load, cpuMs }, run) =>
      `${whole(rates[run]!)}/s with ${atOnce} at once (${spread(load.samplesMs)}, ${cpuMs.toFixed(2)} ms of the API's CPU)${listed(load.others)}`,
  );
  const failed = runs.some(({ load }) => Object.keys(load.others).length > 0);
  return {
    what,
    goal: `≥ ${whole(goal)}/s`,
    measured: measured.join('; '),
    holds: !failed && Math.max(...rates) >= goal,
  };
}
