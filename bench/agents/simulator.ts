import type { Op } from '@felucca/contract';
import { Agent, type World } from './agent.ts';
import { Identity } from './identity.ts';
import { Lines } from './lines.ts';
import { serve } from './remote.ts';
import { Reports, readyStatus } from './reports.ts';

/** `node bench/agents/simulator.ts`, started by startRemote(): the operators of many data planes in one process. */

export interface Delivery {
  id: string;
  rev: string;
  /** Wall clock, with its fractions. */
  atMs: number;
}

export interface Applied {
  id: string;
  generation: number;
  deleted: boolean;
}

export interface FleetState {
  agents: number;
  current: number;
  /** By phase of the machine. */
  phases: Record<string, number>;
  /** What happened to connections and reports since the last `reset`. */
  counts: Record<string, number>;
  /** The widest window that the control plane asked anybody to come back in, since the last `reset`. */
  askedBackWithinMs: number;
}

export interface Flood {
  /** Reports answered 200, and the rows in them. */
  reports: number;
  rows: number;
  /** Answers with another status, and lost ones, by what they were. */
  others: Record<string, number>;
  tookMs: number;
  samplesMs: number[];
}

const SWEEP_MS = 1_000;
const REPORT_LINES = 32;

const agents: Agent[] = [];
const lines = new Lines(REPORT_LINES);
const wallMs = (): number => performance.timeOrigin + performance.now();
let counts = new Map<string, number>();
let recoveriesMs: number[] = [];
let askedBackWithinMs = 0;
let deliveries: Delivery[] | undefined;
/** Of each Instance that any of these data planes had: what was applied last. */
const applied = new Map<string, Applied>();
const appliedAgain: string[] = [];

const count = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);
const world: World = {
  target: () => lines.target(),
  random: Math.random,
  nowMs: () => performance.now(),
  delivered: ({ id, rev }: Op) => void deliveries?.push({ id, rev, atMs: wallMs() }),
  applied: ({ kind, id, generation, op }: Op) => {
    if (kind !== 'Instance') return;
    const before = applied.get(id);
    if (before && (before.deleted || before.generation >= generation))
      appliedAgain.push(`${op} ${id} ${generation} after ${JSON.stringify(before)}`);
    applied.set(id, { id, generation, deleted: op === 'del' });
  },
  askedBack: (withinMs) => {
    askedBackWithinMs = Math.max(askedBackWithinMs, withinMs);
  },
  becameCurrent: (afterMs) => void recoveriesMs.push(afterMs),
  count,
};
setInterval(() => {
  const timeMs = world.nowMs();
  for (const agent of agents) agent.sweep(timeMs);
}, SWEEP_MS);

export const simulator = {
  /** Where the control plane is: the processes that are ready. */
  aim: (urls: string[]): void => lines.aim(urls),

  /** Agents `from` to `to` connect at random moments of `overMs`. */
  start: ({
    from,
    to,
    overMs,
    reports,
  }: {
    from: number;
    to: number;
    overMs: number;
    reports: boolean;
  }): void => {
    for (let number = from; number < to; number += 1) {
      const identity = new Identity(number);
      const agent = new Agent(identity, world, reports ? new Reports(identity, lines, count) : undefined);
      agents.push(agent);
      setTimeout(() => agent.start(), Math.random() * overMs);
    }
  },

  state: (): FleetState => {
    const phases: Record<string, number> = {};
    for (const { phase } of agents) phases[phase] = (phases[phase] ?? 0) + 1;
    const current = agents.filter((agent) => agent.current).length;
    return { agents: agents.length, current, phases, counts: Object.fromEntries(counts), askedBackWithinMs };
  },

  /** Forgets what has been counted, and notes deliveries from now on if they are wanted. */
  reset: ({ deliveriesToo }: { deliveriesToo: boolean }): void => {
    counts = new Map();
    recoveriesMs = [];
    askedBackWithinMs = 0;
    deliveries = deliveriesToo ? [] : undefined;
  },
  deliveries: (): Delivery[] => deliveries ?? [],
  /** From the loss of a connection to current again, one for each agent that did. */
  recoveries: (): number[] => recoveriesMs,

  /** The network goes for all of them in one moment. */
  cut: (): void => {
    for (const agent of agents) agent.cut();
  },

  applied: (): Applied[] => [...applied.values()],
  /** What was applied although it, or something newer, had been. */
  againApplied: (): string[] => appliedAgain,

  /** Rows that each agent holds. */
  rows: (): number => agents.reduce((sum, agent) => sum + agent.rows.count, 0),

  /** Every agent reports on `items` of its Instances again and again; `atOnce` reports are under way. */
  flood: async ({
    items,
    atOnce,
    forMs,
  }: {
    items: number;
    atOnce: number;
    forMs: number;
  }): Promise<Flood> => {
    const flood: Flood = { reports: 0, rows: 0, others: {}, tookMs: 0, samplesMs: [] };
    const startMs = performance.now();
    let next = 0;
    const worker = async (): Promise<void> => {
      while (performance.now() - startMs < forMs) {
        const agent = agents[next++ % agents.length]!;
        const { reports } = agent;
        if (!reports) throw new Error('a flood needs agents that report');
        const status = [...agent.rows.all()]
          .filter(({ kind, good }) => kind === 'Instance' && good)
          .slice(0, items)
          .map(({ kind, key, good }) => readyStatus({ kind, key, ...good! }, reports.nextObservedSeq()));
        const sentMs = performance.now();
        const answer = await reports.send(status).catch((error: Error) => error);
        const what = answer instanceof Error ? answer.message : String(answer.status);
        if (what !== '200') flood.others[what] = (flood.others[what] ?? 0) + 1;
        else {
          flood.reports += 1;
          flood.rows += status.length;
          flood.samplesMs.push(performance.now() - sentMs);
        }
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    flood.tookMs = performance.now() - startMs;
    return flood;
  },

  stop: (): void => {
    for (const agent of agents.splice(0)) agent.stop();
    lines.close();
  },
};
export type Simulator = typeof simulator;

serve(simulator);
