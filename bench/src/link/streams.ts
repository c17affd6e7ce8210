import { setTimeout as delay } from 'node:timers/promises';
import { faultsOf, listed, mebibytes, p99, type Row, seconds, spread } from './row.ts';
import type { LinkStage } from './stage.ts';

const GOAL = { idleMebibytes: 400, storm: { allCurrentMs: 60_000, writesTimes: 3 } };

/** Memory of the API with this many streams on which nothing happens. */
export async function measureIdle(
  stage: LinkStage,
  { streams, emptyBytes, forMs }: { streams: number; emptyBytes: number; forMs: number },
): Promise<Row> {
  const [api] = stage.apis;
  const cpuBefore = api!.cpuSeconds;
  const startMs = performance.now();
  await delay(forMs);
  const cores = ((api!.cpuSeconds - cpuBefore) * 1_000) / (performance.now() - startMs);
  const bytes = api!.rssBytes;
  const each = (bytes - emptyBytes) / streams / 1024;
  return {
    what: `memory of the API with ${streams.toLocaleString('en-US')} idle streams`,
    goal: `< ${GOAL.idleMebibytes} MiB`,
    measured: `${mebibytes(bytes)} (${mebibytes(emptyBytes)} without, ${each.toFixed(1)} KiB each), ${(cores * 100).toFixed(1)} % of a core`,
    holds: bytes < GOAL.idleMebibytes * 1024 * 1024,
  };
}

/** All connections go in one moment, while tenants order at an even rate. */
export async function measureStorm(
  stage: LinkStage,
  { streams, rate, forMs }: { streams: number; rate: number; forMs: number },
): Promise<Row[]> {
  const plan = (lastsMs: number) =>
    stage.plan({ from: 0, to: streams }, { perSecond: rate, atOnce: 0, forMs: lastsMs });
  const calm = await stage.tenants.call('orders', plan(forMs));
  await stage.untilAllCurrent(30_000);
  await stage.askAgents('reset', { deliveriesToo: false });
  const limitMs = 3 * GOAL.storm.allCurrentMs;
  const stormy = stage.tenants.call('orders', plan(limitMs));
  await stage.askAgents('cut', undefined);
  const tookMs = await stage.untilAllCurrent(limitMs);
  await stage.tenants.call('enough', undefined);
  const storm = await stormy;
  const recoveries = (await stage.askAgents('recoveries', undefined)).flat();
  const { counts } = await stage.agentState();
  const faults = { ...faultsOf(counts), ...calm.others, ...storm.others };
  const clean = Object.keys(faults).length === 0;
  const times = p99(storm.samplesMs) / p99(calm.samplesMs);
  return [
    {
      what: `${streams.toLocaleString('en-US')} connections cut in one moment → every agent current again`,
      goal: `≤ ${seconds(GOAL.storm.allCurrentMs)}, no error`,
      measured:
        `${seconds(tookMs)} (half of them after ${seconds(recoveries.toSorted((a, b) => a - b)[Math.floor(recoveries.length / 2)] ?? 0)}), ` +
        `${clean ? 'no error' : listed(faults)}; ${counts['refused 503'] ?? 0} hellos put off`,
      holds: clean && tookMs <= GOAL.storm.allCurrentMs,
    },
    {
      what: `orders meanwhile, at ${rate}/s`,
      goal: `p99 ≤ ${GOAL.storm.writesTimes} × calm`,
      measured: `${spread(storm.samplesMs)}; calm ${spread(calm.samplesMs)}; ${times.toFixed(1)} ×`,
      holds: times <= GOAL.storm.writesTimes,
    },
  ];
}
