import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { CHARTS, type Chart, promtool, rendered } from './alerts/rendered.ts';

interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  fieldConfig?: { defaults: { unit: string } };
  targets?: { refId: string; expr: string; legendFormat: string; datasource: { uid: string } }[];
}
interface Dashboard {
  uid: string;
  title: string;
  schemaVersion: number;
  templating: { list: { name: string; type: string; query: unknown }[] };
  panels: Panel[];
}
interface ConfigMap {
  metadata: { name: string; labels: Record<string, string> };
  data: Record<string, string>;
}

/** As Grafana's sidecar finds it. */
async function dashboardOf(chart: Chart): Promise<Dashboard> {
  const maps = await rendered<ConfigMap>(chart, 'ConfigMap', 'metrics.dashboards.enabled=true');
  const found = maps.filter(({ metadata }) => metadata.labels['grafana_dashboard'] === '1');
  expect(found).toHaveLength(1);
  const [[file, text] = []] = Object.entries(found[0]!.data);
  expect(file).toBe(`${chart}.json`);
  return JSON.parse(text!) as Dashboard;
}

/** What Grafana puts in the place of its variables. */
const filledIn = (expr: string): string =>
  expr
    .replaceAll('$__rate_interval', '5m')
    .replaceAll('$namespace', 'felucca-system')
    .replaceAll('$job', '.*');

describe.each(CHARTS)('the dashboard of %s', (chart) => {
  test('has what Grafana needs, and no panel over another', async () => {
    const { uid, title, schemaVersion, templating, panels } = await dashboardOf(chart);
    expect({ uid, schemaVersion }).toEqual({ uid: chart, schemaVersion: 39 });
    expect(title).toMatch(/^Felucca/);
    expect(templating.list.map(({ name }) => name)).toEqual(['datasource', 'namespace', 'job']);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const taken = new Set<string>();
    for (const { title: name, gridPos } of panels) {
      expect(gridPos.x + gridPos.w, name).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          expect(taken.has(`${x} ${y}`), `${name} lies over another panel`).toBe(false);
          taken.add(`${x} ${y}`);
        }
    }
  });

  test('tells in each panel what it shows, of the chosen installation only', async () => {
    for (const panel of (await dashboardOf(chart)).panels) {
      if (panel.type === 'row') continue;
      expect(panel.description, panel.title).toMatch(/\.$/);
      expect(panel.fieldConfig?.defaults.unit, panel.title).toBeTruthy();
      expect(new Set(panel.targets?.map(({ refId }) => refId)).size, panel.title).toBe(panel.targets?.length);
      for (const { expr, legendFormat, datasource } of panel.targets ?? []) {
        expect(datasource.uid).toBe('${datasource}');
        expect(legendFormat, panel.title).not.toBe('');
        const selectors = expr.match(/\{[^}]*\}/g) ?? [];
        expect(selectors.length, panel.title).toBeGreaterThan(0);
        for (const selector of selectors)
          expect(selector, panel.title).toMatch(/^\{namespace=~"\$namespace",job=~"\$job"/);
      }
    }
  });

  test('asks in PromQL that Prometheus understands', async () => {
    const { panels } = await dashboardOf(chart);
    const rules = panels
      .flatMap(({ targets = [] }) => targets)
      .map(({ expr }, index) => ({ record: `panel:${index}`, expr: filledIn(expr) }));
    const work = mkdtempSync(join(tmpdir(), 'felucca-dashboard-'));
    try {
      const file = join(work, 'rules.yaml');
      writeFileSync(file, stringify({ groups: [{ name: 'panels', rules }] }));
      expect(await promtool('check', 'rules', '--lint=none', file)).toMatch(`${rules.length} rules found`);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  });
});
