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
  delete: Phase;
}
export interface Pair {
  felucca: Run;
  peer: Run;
}

/** At most so many times the peer's figure. */
type Goal = number | undefined;

/** Both in columns with their ratio, and whether the goal is met. */
export function compare(burst: Pair, calm: Pair, ceilingPerSecond: number, count: number): string {
  const rows: string[][] = [];
  const add = (label: string, pair: Pair, of: (run: Run) => number | undefined, goal?: Goal): void => {
    const [ours = Number.NaN, theirs = Number.NaN] = [of(pair.felucca), of(pair.peer)];
    const ratio = ours / theirs;
    const verdict = goal === undefined ? '' : `≤ ${goal} ${ratio <= goal ? 'met' : '**missed**'}`;
    rows.push([label, short(ours), short(theirs), Number.isFinite(ratio) ? ratio.toFixed(2) : '–', verdict]);
  };
  const phases = ['create', 'update', 'restart', 'delete'] as const;
  add('create all, s', burst, (run) => run.create.seconds, 0.85);
  add('– to children p50, ms', burst, (run) => run.create.children_ms?.P50, 0.5);
  add('– to children p99, ms', burst, (run) => run.create.children_ms?.P99, 0.9);
  add('– to Ready p50, ms', burst, (run) => run.create.ready_ms?.P50, 0.5);
  add('– to Ready p99, ms', burst, (run) => run.create.ready_ms?.P99, 0.9);
  add('update all, s', burst, (run) => run.update.seconds);
  add('delete all, s', burst, (run) => run.delete.seconds);
  add('– children gone, s', burst, (run) => run.delete.children_gone_s);
  add('cold restart, s', burst, (run) => run.restart.seconds, 1.5);
  for (const phase of phases)
    add(`writes per Instance, ${phase}`, burst, (run) => run[phase].writes_total / count);
  for (const phase of phases) add(`operator CPU-s, ${phase}`, burst, (run) => run[phase].cpu_s.operator, 1.5);
  for (const phase of phases)
    add(`API server CPU-s, ${phase}`, burst, (run) => run[phase].cpu_s['kube-apiserver']);
  add('RSS after create, MiB', burst, (run) => run.create.rss_mib, 1);
  add('RSS after restart, MiB', burst, (run) => run.restart.rss_mib, 1);
  add('unloaded, to children p50, ms', calm, (run) => run.create.children_ms?.P50, 1);
  add('unloaded, to children p99, ms', calm, (run) => run.create.children_ms?.P99, 1);
  add('unloaded, to Ready p50, ms', calm, (run) => run.create.ready_ms?.P50, 1);
  add('unloaded, to Ready p99, ms', calm, (run) => run.create.ready_ms?.P99, 1);
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

const short = (value: number): string =>
  Number.isFinite(value) ? (value >= 100 ? value.toFixed(0) : value.toFixed(2)) : '–';
const list = (writes: Record<string, number>): string =>
  Object.entries(writes)
    .map(([what, times]) => `${times} ${what}`)
    .join(', ') || 'nothing';
