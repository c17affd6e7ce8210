import { globSync, readFileSync } from 'node:fs';

const helm = new URL('../../../helm/', import.meta.url).pathname;

/** Every metric that the alerts and dashboards of a chart name: there each is followed by its selector. */
export function namedMetrics(chart: string): string[] {
  const text = globSync([`${helm}${chart}/alerts/*.yaml`, `${helm}${chart}/dashboards/*.json`])
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');
  const names = [...text.matchAll(/([a-z][a-z0-9_]*)\{(?:@|namespace=~)/g)].map(([, name]) => name!);
  // Prometheus' own.
  return [...new Set(names)].filter((name) => name !== 'up').toSorted();
}

/** Names of the series that a scrape has, or would have once something happened. */
export function servedMetrics(scrape: string): Set<string> {
  const served = new Set<string>();
  for (const [, name = '', type] of scrape.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    served.add(name);
    if (type === 'histogram' || type === 'summary')
      for (const suffix of ['bucket', 'count', 'sum']) served.add(`${name}_${suffix}`);
  }
  return served;
}
