import { table } from './table.ts';

interface Quantiles {
  P50: number;
  P99: number;
}
interface Phase {
  seconds: number;
  children_ms?: Quantiles;
  ready_ms?: Quantiles;
  children_gone_s?: number;
  cpu_s: Record<string, number>;
  rss_mib: number;
  peak_mib: number;
  writes: Record<string, number>;
  writes_total: number;
}
/** What the driver measured of one operator; times as its field names say. */
export interface Run {
  create: Phase;
  update: Phase;
  restart: Phase;
  idle: Phase;
  delete: Phase;
}
export interface Pair {
  felucca: Run;
  peer: Run;
}

interface Goal {
  /** At most so many times the peer's figure. */
  ratio?: number;
  /** At most this. */
  most?: number;
}

/** Both in columns with their ratio, and whether the goal is met. */
export function compare(burst: Pair, calm: Pair, ceilingPerSecond: number, count: number): string {
  const rows: string[][] = [];
  const add = (label: string, pair: Pair, of: (run: Run) => number | undefined, goal: Goal = {}): void => {
    const [ours = Number.NaN, theirs = Number.NaN] = [of(pair.felucca), of(pair.peer)];
    const ratio = ours / theirs;
    const verdicts = [
      ...(goal.ratio === undefined ? [] : [verdict(`≤ ${goal.ratio}×`, ratio <= goal.ratio)]),
      ...(goal.most === undefined ? [] : [verdict(`≤ ${goal.most}`, ours <= goal.most)]),
    ];
    const shown = Number.isFinite(ratio) ? ratio.toFixed(2) : '–';
    rows.push([label, short(ours), short(theirs), shown, verdicts.join(', ')]);
  };
  const phases = ['create', 'update', 'restart', 'idle', 'delete'] as const;
  add('create all, s', burst, (run) => run.create.seconds, { ratio: 0.85 });
  add('– to children p50, ms', burst, (run) => run.create.children_ms?.P50, { ratio: 0.5 });
  add('– to children p99, ms', burst, (run) => run.create.children_ms?.P99, { ratio: 0.9 });
  add('– to Ready p50, ms', burst, (run) => run.create.ready_ms?.P50, { ratio: 0.5 });
  add('– to Ready p99, ms', burst, (run) => run.create.ready_ms?.P99, { ratio: 0.9 });
  add('update all, s', burst, (run) => run.update.seconds);
  add('delete all, s', burst, (run) => run.delete.seconds);
  add('– children gone, s', burst, (run) => run.delete.children_gone_s);
  add('cold restart, s', burst, (run) => run.restart.seconds, { ratio: 1.5, most: 5 });
  for (const phase of phases)
    add(`writes per Instance, ${phase}`, burst, (run) => run[phase].writes_total / count, MOST_WRITES[phase]);
  for (const phase of phases)
    add(`operator CPU-s, ${phase}`, burst, (run) => run[phase].cpu_s.operator, { ratio: 1.5 });
  add('idle, % of a core', burst, ({ idle }) => (100 * (idle.cpu_s.operator ?? Number.NaN)) / idle.seconds, {
    most: 1,
  });
  for (const phase of phases)
    add(`API server CPU-s, ${phase}`, burst, (run) => run[phase].cpu_s['kube-apiserver']);
  add('RSS after create, MiB', burst, (run) => run.create.rss_mib, { ratio: 1 });
  add('RSS after restart, MiB', burst, (run) => run.restart.rss_mib, { ratio: 1 });
  // 300 MB
  add('RSS at rest, MiB', burst, (run) => run.idle.rss_mib, { ratio: 1, most: 286 });
  add('unloaded, to children p50, ms', calm, (run) => run.create.children_ms?.P50, { ratio: 1 });
  add('unloaded, to children p99, ms', calm, (run) => run.create.children_ms?.P99, { ratio: 1 });
  add('unloaded, to Ready p50, ms', calm, (run) => run.create.ready_ms?.P50, { ratio: 1 });
  add('unloaded, to Ready p99, ms', calm, (run) => run.create.ready_ms?.P99, { ratio: 1 });
  const ours = burst.felucca.create.writes_total / burst.felucca.create.seconds;
  return [
    table(['', 'Felucca', 'controller-runtime', 'ratio', 'goal'], rows),
    '',
    `Raw ceiling, the same applies without an operator: ${ceilingPerSecond} writes/s; Felucca reaches ${ours.toFixed(0)} (${(ours / ceilingPerSecond).toFixed(2)}; goal 0.8) while it creates.`,
    '',
    ...phases.map(
      (phase) =>
        `- ${phase} wrote: Felucca ${list(burst.felucca[phase].writes)}; controller-runtime ${list(burst.peer[phase].writes)}`,
    ),
  ].join('\n');
}

const MOST_WRITES: Partial<Record<keyof Run, Goal>> = {
  create: { most: 5 },
  restart: { most: 0 },
  idle: { most: 0 },
};
const verdict = (goal: string, isMet: boolean): string => `${goal} ${isMet ? 'met' : '**missed**'}`;
const short = (value: number): string =>
  Number.isFinite(value) ? (value >= 100 ? value.toFixed(0) : value.toFixed(2)) : '–';
const list = (writes: Record<string, number>): string =>
  Object.entries(writes)
    .map(([what, times]) => `${times} ${what}`)
    .join(', ') || 'nothing';
