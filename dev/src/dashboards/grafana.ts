/** A dashboard as we write it; `{@}` in an expression selects the series of the chosen installation. */
export interface DashboardSpec {
  uid: string;
  title: string;
  description: string;
  /** A metric that exactly the programs of this dashboard serve: it offers the namespaces and jobs to choose from. */
  probe: string;
  rows: readonly RowSpec[];
}
export interface RowSpec {
  title: string;
  panels: readonly PanelSpec[];
}
export interface PanelSpec {
  title: string;
  /** What it tells, and when to worry. */
  description: string;
  kind?: 'stat' | 'timeseries';
  unit?: string;
  /** Values from which on a stat is not good, and bad. Falling: the other way round. */
  thresholds?: { warning?: number; bad: number; falling?: boolean };
  /** Expression and legend. */
  queries: readonly (readonly [expr: string, legend: string])[];
}

const COLUMNS = 24;
const WIDTH = { stat: 4, timeseries: 8 };
const HEIGHT = { stat: 4, timeseries: 8 };
const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };

/** Grafana's JSON model (schema version 39, Grafana 10 and newer). */
export function grafanaDashboard(spec: DashboardSpec): object {
  return {
    uid: spec.uid,
    title: spec.title,
    description: spec.description,
    tags: ['felucca'],
    schemaVersion: 39,
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    timezone: 'browser',
    templating: { list: variables(spec.probe) },
    panels: layOut(spec.rows),
  };
}

function variables(probe: string): object[] {
  const choice = (name: string, query: string) => ({
    name,
    label: name,
    type: 'query',
    datasource: DATASOURCE,
    query: { query, refId: name },
    definition: query,
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    current: { text: 'All', value: '$__all' },
  });
  return [
    { name: 'datasource', label: 'data source', type: 'datasource', query: 'prometheus', current: {} },
    choice('namespace', `label_values(${probe}, namespace)`),
    choice('job', `label_values(${probe}{namespace=~"$namespace"}, job)`),
  ];
}

/** Left to right, then down; each row begins on a line of its own. */
function layOut(rows: readonly RowSpec[]): object[] {
  const panels: object[] = [];
  let y = 0;
  for (const { title, panels: specs } of rows) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title,
      collapsed: false,
      gridPos: { x: 0, y, w: COLUMNS, h: 1 },
      panels: [],
    });
    y += 1;
    let x = 0;
    let lineHeight = 0;
    for (const spec of specs) {
      const { kind = 'timeseries' } = spec;
      if (x + WIDTH[kind] > COLUMNS) {
        x = 0;
        y += lineHeight;
        lineHeight = 0;
      }
      const gridPos = { x, y, w: WIDTH[kind], h: HEIGHT[kind] };
      panels.push(panel(spec, panels.length + 1, gridPos));
      x += WIDTH[kind];
      lineHeight = Math.max(lineHeight, HEIGHT[kind]);
    }
    y += lineHeight;
  }
  return panels;
}

function panel(spec: PanelSpec, id: number, gridPos: object): object {
  const { kind = 'timeseries', title, description, unit = 'short', thresholds, queries } = spec;
  return {
    id,
    type: kind,
    title,
    description,
    gridPos,
    datasource: DATASOURCE,
    fieldConfig: {
      defaults: {
        unit,
        min: 0,
        ...(kind === 'stat' ? { thresholds: steps(thresholds) } : { custom: { fillOpacity: 10 } }),
      },
      overrides: [],
    },
    options:
      kind === 'stat'
        ? { colorMode: thresholds ? 'background' : 'none', reduceOptions: { calcs: ['lastNotNull'] } }
        : { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
    targets: queries.map(([expr, legendFormat], index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: DATASOURCE,
      expr: expr.replaceAll('{@', '{namespace=~"$namespace",job=~"$job"'),
      legendFormat,
    })),
  };
}

function steps(thresholds: PanelSpec['thresholds']): object {
  if (!thresholds) return { mode: 'absolute', steps: [{ color: 'text', value: null }] };
  const { warning, bad, falling = false } = thresholds;
  const middle = warning === undefined ? [] : [{ color: 'orange', value: falling ? bad : warning }];
  return {
    mode: 'absolute',
    steps: falling
      ? [{ color: 'red', value: null }, ...middle, { color: 'green', value: warning ?? bad }]
      : [{ color: 'green', value: null }, ...middle, { color: 'red', value: bad }],
  };
}
