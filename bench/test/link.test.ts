import { afterAll, beforeAll, expect, test } from 'vitest';
import { measureDelivery } from '../src/link/delivery.ts';
import { roll } from '../src/link/rolling.ts';
import { faultsOf } from '../src/link/row.ts';
import { LinkStage } from '../src/link/stage.ts';

/** What `make bench` measures with thousands of agents, with so many: that the simulator still speaks the protocol. */
const AGENTS = 50;

let stage: LinkStage;
beforeAll(async () => {
  stage = await LinkStage.start('link');
  await stage.startAgents({ from: 0, to: AGENTS, overMs: 200, reports: true });
  await stage.untilAllCurrent(30_000);
});
afterAll(() => stage?.stop());

test('every order reaches the agent of its data plane, and what that reports is accepted', async () => {
  const [delivered] = await measureDelivery(stage, { streams: AGENTS, rate: 50, forMs: 2_000 });
  expect(delivered?.measured).toMatch(/^p50 /);
  await expect
    .poll(async () => {
      const { rows } = await stage.admin.query<{ open: number; ready: number }>(
        `SELECT count(*) FILTER (WHERE state <> 'ready')::int AS open, count(*)::int AS ready FROM felucca.operations`,
      );
      return rows[0]?.open === 0 && rows[0].ready >= 100;
    })
    .toBe(true);
  const { counts } = await stage.agentState();
  expect(counts['report 200']).toBeGreaterThan(0);
  expect(faultsOf(counts)).toEqual({});
});

test('agents whose connections are cut resume where they were, and nothing is sent again', async () => {
  await stage.askAgents('reset', { deliveriesToo: true });
  await stage.askAgents('cut', undefined);
  await stage.untilAllCurrent(30_000);
  expect((await stage.agentState()).counts).toMatchObject({
    'lost network': AGENTS,
    'hello resume': AGENTS,
  });
  expect((await stage.askAgents('deliveries', undefined)).flat()).toEqual([]);
});

// Invariant L41.
test('a rolling restart of two processes costs no agent an error and no tenant an order', async () => {
  await stage.startApi();
  await stage.aim();
  // Half of them move to the new process.
  await stage.askAgents('cut', undefined);
  await stage.untilAllCurrent(30_000);
  const { restarts, windowMs, faults, ordersMs, notDelivered } = await roll(stage, {
    streams: AGENTS,
    rate: 20,
  });
  expect(faults).toEqual({});
  expect(notDelivered).toBe(0);
  expect(ordersMs.length).toBeGreaterThan(20);
  for (const { code, currentMs } of restarts) {
    expect(code).toBe(0);
    expect(currentMs).toBeLessThan(windowMs + 15_000);
  }
});
