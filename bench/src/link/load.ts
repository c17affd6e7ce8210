import type { Request } from '../../agents/http.ts';
import { Lines } from '../../agents/lines.ts';
import { serve } from '../../agents/remote.ts';

/** `node bench/src/link/load.ts`, started by startRemote(): tenants that order and read over the API. */

export interface Ordered {
  id: string;
  /** Wall clock, with its fractions. */
  sentMs: number;
  answeredMs: number;
}

export interface Load {
  /** Orders that were accepted; empty for reads. */
  orders: Ordered[];
  /** From sending to the answer, of those that were answered as they should be. */
  samplesMs: number[];
  /** What else was answered, or why nothing was. */
  others: Record<string, number>;
  tookMs: number;
}

export interface LoadPlan {
  key: string;
  /** Every request names the next of these. */
  subjects: { organization: string; dataPlane: string; instance?: string }[];
  /** Requests a second, evenly; 0: as many as are answered with `atOnce` under way. */
  perSecond: number;
  atOnce: number;
  forMs: number;
}

const MAX_AT_ONCE = 256;
const lines = new Lines(MAX_AT_ONCE);
const wallMs = (): number => performance.timeOrigin + performance.now();
let made = 0;
let stopped = false;

function orderOf(plan: LoadPlan): Request {
  made += 1;
  const { organization, dataPlane } = plan.subjects[made % plan.subjects.length]!;
  const name = `i-${process.pid}-${made}`;
  const body = { name, dataPlane, blueprint: 'bench', version: '1.0.0', parameters: { text: name } };
  return {
    method: 'POST',
    path: `/v1/organizations/${organization}/instances`,
    headers: { authorization: `Bearer ${plan.key}` },
    body: JSON.stringify(body),
  };
}

function readOf(plan: LoadPlan): Request {
  made += 1;
  const { organization, instance } = plan.subjects[made % plan.subjects.length]!;
  return {
    method: 'GET',
    path: `/v1/organizations/${organization}/instances/${instance}`,
    headers: { authorization: `Bearer ${plan.key}` },
  };
}

/** @param good the status of an answer that counts */
async function send(load: Load, request: Request, good: number): Promise<void> {
  const sentMs = wallMs();
  const answer = await lines.call(() => request).catch((error: Error) => error);
  const answeredMs = wallMs();
  if (answer instanceof Error || answer.status !== good) {
    const what = answer instanceof Error ? answer.message : `${answer.status} ${answer.body.slice(0, 200)}`;
    load.others[what] = (load.others[what] ?? 0) + 1;
    return;
  }
  load.samplesMs.push(answeredMs - sentMs);
  if (good === 202) load.orders.push({ id: JSON.parse(answer.body).id, sentMs, answeredMs });
}

/** At its moment, whether or not the ones before were answered: a slow server must not be spared. */
async function steady(plan: LoadPlan, one: () => Promise<void>): Promise<void> {
  const startMs = performance.now();
  const underWay = new Set<Promise<void>>();
  for (let n = 0; n < (plan.forMs / 1_000) * plan.perSecond && !stopped; n += 1) {
    const waitMs = startMs + (n * 1_000) / plan.perSecond - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const call = one().finally(() => underWay.delete(call));
    underWay.add(call);
  }
  await Promise.all(underWay);
}

async function flatOut(plan: LoadPlan, one: () => Promise<void>): Promise<void> {
  const endMs = performance.now() + plan.forMs;
  const worker = async (): Promise<void> => {
    while (performance.now() < endMs && !stopped) await one();
  };
  await Promise.all(Array.from({ length: plan.atOnce }, worker));
}

async function run(plan: LoadPlan, make: (plan: LoadPlan) => Request, good: number): Promise<Load> {
  const load: Load = { orders: [], samplesMs: [], others: {}, tookMs: 0 };
  stopped = false;
  const startMs = performance.now();
  const one = (): Promise<void> => send(load, make(plan), good);
  await (plan.perSecond > 0 ? steady(plan, one) : flatOut(plan, one));
  load.tookMs = performance.now() - startMs;
  return load;
}

const tenants = {
  aim: (urls: string[]): void => lines.aim(urls),
  orders: (plan: LoadPlan): Promise<Load> => run(plan, orderOf, 202),
  reads: (plan: LoadPlan): Promise<Load> => run(plan, readOf, 200),
  /** Ends a run before its time; what is under way is answered. */
  enough: (): void => {
    stopped = true;
  },
};
export type Tenants = typeof tenants;

serve(tenants);
