import { waitUntil } from '@felucca/dev';
import type { Delivery } from '../../agents/simulator.ts';
import { p50, p99, type Row, spread } from './row.ts';
import type { LinkStage } from './stage.ts';

const GOAL = { p50Ms: 10, p99Ms: 50 };

/** Orders at an even rate, each on the data plane of another agent, all of which have their streams open and report. */
export async function measureDelivery(
  stage: LinkStage,
  { streams, rate, forMs }: { streams: number; rate: number; forMs: number },
): Promise<Row[]> {
  const plan = (lastsMs: number) =>
    stage.plan({ from: 0, to: streams }, { perSecond: rate, atOnce: 0, forMs: lastsMs });
  // Not what a process does first: it is compiled by then.
  await stage.tenants.call('orders', plan(forMs / 4));
  await stage.askAgents('reset', { deliveriesToo: true });
  const { orders, others } = await stage.tenants.call('orders', plan(forMs));
  const arrived = new Map<string, Delivery>();
  await waitUntil(
    'every order is delivered',
    async () => {
      for (const delivery of (await stage.askAgents('deliveries', undefined)).flat())
        if (!arrived.has(delivery.id)) arrived.set(delivery.id, delivery);
      return orders.every(({ id }) => arrived.has(id));
    },
    { timeoutMs: 30_000, intervalMs: 500 },
  );
  const committed = await committedMs(
    stage,
    orders.map(({ id }) => id),
  );
  const since = (from: (order: (typeof orders)[number]) => number): number[] =>
    orders.map((order) => arrived.get(order.id)!.atMs - from(order));
  const fromCommit = since(({ id }) => committed.get(id)!);
  const failed = Object.keys(others).length > 0;
  const what = `at ${rate}/s with ${streams.toLocaleString('en-US')} streams`;
  return [
    {
      what: `row stamped in its transaction → at the agent, ${what}`,
      goal: `p50 ≤ ${GOAL.p50Ms} ms, p99 ≤ ${GOAL.p99Ms} ms`,
      measured: failed ? JSON.stringify(others) : spread(fromCommit),
      holds: !failed && p50(fromCommit) <= GOAL.p50Ms && p99(fromCommit) <= GOAL.p99Ms,
    },
    {
      what: `order sent → at the agent, ${what}`,
      goal: '',
      measured: `${spread(since(({ sentMs }) => sentMs))}; ${orders.length} of ${orders.length} arrived`,
    },
  ];
}

/** Stamped before the transaction's end: what is measured from here includes the commit itself. */
async function committedMs(stage: LinkStage, ids: string[]): Promise<Map<string, number>> {
  const { rows } = await stage.admin.query<{ id: string; at: string }>(
    `SELECT id, (extract(epoch FROM committed_at) * 1000)::text AS at FROM felucca.desired WHERE id = ANY($1)`,
    [ids],
  );
  return new Map(rows.map(({ id, at }) => [id, Number(at)]));
}
