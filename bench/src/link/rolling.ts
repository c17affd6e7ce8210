import { setTimeout as delay } from 'node:timers/promises';
import { DRAIN_DELAY_MS } from './api-process.ts';
import { faultsOf, listed, type Row, seconds, spread } from './row.ts';
import type { LinkStage } from './stage.ts';

/** What an agent needs on top of the window: its wait is in it, then it connects and compares. */
const AFTER_WINDOW_MS = 5_000;

export interface Rolled {
  /** For each process: SIGTERM to its end, to all agents current, and its exit code. */
  restarts: { endedMs: number; currentMs: number; code: number | null }[];
  /** The drain delay, and the window in which agents are asked to come back. */
  windowMs: number;
  /** What agents and tenants met that nobody should. */
  faults: Record<string, number>;
  ordersMs: number[];
  notDelivered: number;
}

/**
 * One process after the other is ended and started again while tenants order. The load balancer sends nobody there any more
 * from the moment it is told to end, as the controller of a deployment sees to it.
 */
export async function roll(
  stage: LinkStage,
  { streams, rate }: { streams: number; rate: number },
): Promise<Rolled> {
  await stage.askAgents('reset', { deliveriesToo: true });
  const plan = stage.plan({ from: 0, to: streams }, { perSecond: rate, atOnce: 0, forMs: 600_000 });
  const ordering = stage.tenants.call('orders', plan);
  const restarts: Rolled['restarts'] = [];
  for (const api of stage.apis) {
    const startMs = performance.now();
    await stage.aim(api);
    const { code, tookMs: endedMs } = await api.terminate();
    await stage.untilAllCurrent(120_000);
    restarts.push({ endedMs, currentMs: performance.now() - startMs, code });
    await api.restart();
    await stage.aim();
  }
  await stage.tenants.call('enough', undefined);
  const { orders, others, samplesMs } = await ordering;
  await stage.untilAllCurrent(60_000);
  const notDelivered = await missing(
    stage,
    orders.map(({ id }) => id),
  );
  const { counts, askedBackWithinMs } = await stage.agentState();
  return {
    restarts,
    windowMs: DRAIN_DELAY_MS + askedBackWithinMs,
    faults: { ...faultsOf(counts), ...others },
    ordersMs: samplesMs,
    notDelivered,
  };
}

export async function measureRolling(
  stage: LinkStage,
  { streams, rate }: { streams: number; rate: number },
): Promise<Row[]> {
  const { restarts, windowMs, faults, ordersMs, notDelivered } = await roll(stage, { streams, rate });
  const clean = Object.keys(faults).length === 0 && notDelivered === 0;
  const slowest = Math.max(...restarts.map(({ currentMs }) => currentMs));
  const limitMs = windowMs + AFTER_WINDOW_MS;
  return [
    {
      what: `rolling restart of ${restarts.length} processes under ${streams.toLocaleString('en-US')} agents: from SIGTERM to all current`,
      goal: `≤ ${seconds(limitMs)} each, no error, nothing lost`,
      measured: `${restarts.map(({ currentMs }) => seconds(currentMs)).join(' and ')}, ${clean ? 'no error, nothing lost' : `${listed(faults)}; ${notDelivered} not delivered`}`,
      holds: clean && slowest <= limitMs && restarts.every(({ code }) => code === 0),
    },
    {
      what: `orders meanwhile, at ${rate}/s`,
      goal: '',
      measured: `${spread(ordersMs)}; ${ordersMs.length} of ${ordersMs.length} accepted`,
    },
  ];
}

/** Of these orders, how many no agent has been told of, once none follows any more. */
async function missing(stage: LinkStage, ids: string[]): Promise<number> {
  for (let before = -1; ; await delay(500)) {
    const arrived = new Set((await stage.askAgents('deliveries', undefined)).flat().map(({ id }) => id));
    const left = ids.filter((id) => !arrived.has(id)).length;
    if (left === 0 || left === before) return left;
    before = left;
  }
}
