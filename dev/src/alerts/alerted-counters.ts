import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const helm = join(import.meta.dirname, '../../../helm');

export interface AlertedCounter {
  name: string;
  /** Label values that the rule asks for by name; what it merely excludes is not here. */
  labels: { label: string; value: string }[];
}

/** What the alerts of a chart take the increase of: each must be served from the start, or its first event is missed. */
export function alertedCounters(chart: string): AlertedCounter[] {
  const rules = globSync(`${helm}/${chart}/alerts/*.yaml`).map((file) => readFileSync(file, 'utf8'));
  return [...rules.join('\n').matchAll(/increase\(([a-z0-9_]+)\{@([^}]*)\}/g)].map(([, name, matchers]) => ({
    name: name!,
    labels: [...matchers!.matchAll(/([a-z_]+)=~?"([^"]*)"/g)].flatMap(([, label, values]) =>
      values!.split('|').map((value) => ({ label: label!, value })),
    ),
  }));
}

interface Series {
  value: number;
  labels: object;
}

/** Counters of the alerts, with the label value where one is asked for, that have no series at 0. */
export async function unservedCounters(
  alerted: readonly AlertedCounter[],
  registry: { getSingleMetric(name: string): { get(): Promise<{ values: Series[] }> } | undefined },
): Promise<string[]> {
  const unserved: string[] = [];
  for (const { name, labels } of alerted) {
    const series = (await registry.getSingleMetric(name)?.get())?.values ?? [];
    const isServed = ({ label, value }: AlertedCounter['labels'][number]) =>
      series.some((one) => (one.labels as Record<string, unknown>)[label] === value);
    if (series.length === 0) unserved.push(name);
    for (const one of labels) if (!isServed(one)) unserved.push(`${name}{${one.label}="${one.value}"}`);
  }
  return unserved;
}
