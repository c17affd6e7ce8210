import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { controlPlaneDashboard } from './control-plane.ts';
import { grafanaDashboard } from './grafana.ts';
import { operatorDashboard } from './operator.ts';

const helm = join(import.meta.dirname, '../../../helm');
const dashboards = { 'felucca-operator': operatorDashboard, 'felucca-control-plane': controlPlaneDashboard };

for (const [chart, spec] of Object.entries(dashboards)) {
  const folder = join(helm, chart, 'dashboards');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${spec.uid}.json`), `${JSON.stringify(grafanaDashboard(spec), null, 2)}\n`);
}
