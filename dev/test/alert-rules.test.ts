import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { AlertCase } from './alerts/case.ts';
import { controlPlaneCases } from './alerts/control-plane-cases.ts';
import { operatorCases } from './alerts/operator-cases.ts';
import {
  CHARTS,
  type Chart,
  promtool,
  RELEASE_NAMESPACE,
  type Rule,
  repository,
  ruleGroups,
} from './alerts/rendered.ts';

const CASES: Record<Chart, AlertCase[]> = {
  'felucca-operator': operatorCases,
  'felucca-control-plane': controlPlaneCases,
};
const JOB: Record<Chart, string> = {
  'felucca-operator': 'felucca-operator-metrics',
  'felucca-control-plane': 'felucca-control-api',
};

let work: string;
const rules: Partial<Record<Chart, Rule[]>> = {};
const file = (chart: Chart, kind: 'rules' | 'test') => join(work, `${chart}.${kind}.yaml`);

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'felucca-rules-'));
  for (const chart of CHARTS) {
    const groups = await ruleGroups(chart);
    rules[chart] = groups.flatMap((group) => group.rules);
    writeFileSync(file(chart, 'rules'), stringify({ groups }));
  }
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

/** A series as it is scraped: with the labels that the ServiceMonitor gives it. */
function scraped(series: string, chart: Chart): string {
  const [, name = '', labels = ''] = /^([a-z0-9_]+)(?:\{(.*)\})?$/.exec(series) ?? [];
  const ours = `job="${JOB[chart]}",namespace="${RELEASE_NAMESPACE}"`;
  return `${name}{${labels ? `${labels},${ours}` : ours}}`;
}

/** Of an alert with several windows, the rule of this one. */
const ruleOf = (chart: Chart, { alert, labels }: AlertCase): Rule | undefined =>
  rules[chart]?.find((rule) => rule.alert === alert && rule.labels['window'] === labels?.['window']);

function situation(one: AlertCase, chart: Chart, fires: boolean): object {
  const { alert, at, says, every = '1m' } = one;
  const rule = ruleOf(chart, one);
  const expected = {
    exp_labels: { ...rule?.labels, ...one.labels },
    exp_annotations: { ...rule?.annotations, description: says },
  };
  return {
    name: `${alert} ${fires ? 'fires' : 'is quiet'}`,
    interval: every,
    input_series: Object.entries(fires ? one.fires : one.quiet).map(([series, values]) => ({
      series: scraped(series, chart),
      values,
    })),
    alert_rule_test: [{ eval_time: at, alertname: alert, exp_alerts: fires ? [expected] : [] }],
  };
}

describe.each(CHARTS)('the alerts of %s', (chart) => {
  test('are valid rules', async () => {
    expect(await promtool('check', 'rules', file(chart, 'rules'))).toMatch(/SUCCESS/);
  });

  test.each(CASES[chart])('$alert fires when it should, and else not', async (one) => {
    const rule = ruleOf(chart, one);
    expect(rule, 'it is in the chart').toBeDefined();
    writeFileSync(file(chart, 'rules'), stringify({ groups: [{ name: 'one', rules: [rule] }] }));
    const tests = [situation(one, chart, true), situation(one, chart, false)];
    const rule_files = [basename(file(chart, 'rules'))];
    writeFileSync(
      file(chart, 'test'),
      stringify({ rule_files, evaluation_interval: one.every ?? '1m', tests }),
    );
    await promtool('test', 'rules', file(chart, 'test'));
  });

  test('each have a case here', () => {
    const tried = CASES[chart].map(({ alert, labels }) => `${alert} ${labels?.['window'] ?? ''}`);
    const shipped = rules[chart]!.map(({ alert, labels }) => `${alert} ${labels['window'] ?? ''}`);
    expect([...new Set(tried)].toSorted()).toEqual(shipped.toSorted());
  });

  test('say what, what it means, how urgent it is and where to read on', () => {
    for (const { alert, labels, annotations } of rules[chart]!) {
      const page = `docs/runbooks/${alert.replace(/(?<!^)[A-Z]/g, (letter) => `-${letter}`).toLowerCase()}.md`;
      expect(labels['severity'], alert).toMatch(/^(critical|warning|info)$/);
      expect(annotations, alert).toEqual({
        summary: expect.stringMatching(/\.$/),
        description: expect.stringMatching(/\.$/),
        runbook_url: page,
      });
    }
  });
});

const pages = readdirSync(join(repository, 'docs/runbooks')).filter((name) => name.startsWith('felucca-'));

test('every alert has a page, every page an alert, and each says what to look at, to do and how to be quiet', () => {
  const linked = new Set(
    CHARTS.flatMap((chart) => rules[chart]!.map((rule) => basename(rule.annotations.runbook_url))),
  );
  expect(pages.toSorted()).toEqual([...linked].toSorted());
  for (const page of pages) {
    const text = readFileSync(join(repository, 'docs/runbooks', page), 'utf8');
    for (const part of [
      /^# Felucca\w+$/m,
      /^\*\*Means:\*\*/m,
      /^\*\*Hurts:\*\*/m,
      /^1\. /m,
      /^\*\*Silence:\*\*/m,
      /^\*\*Over when\*\*/m,
    ])
      expect(text, `${page} lacks ${part}`).toMatch(part);
    expect(
      `${text
        .match(/^# (\w+)/)?.[1]
        ?.replace(/(?<!^)[A-Z]/g, (letter) => `-${letter}`)
        .toLowerCase()}.md`,
    ).toBe(page);
  }
});

test('thresholds are those of the values, and others than numbers are refused', async () => {
  const set = 'metrics.prometheusRule.thresholds.';
  const text = JSON.stringify(
    await ruleGroups('felucca-operator', `${set}queueDepth=77`, `${set}queueWaitSeconds=100`),
  );
  expect(text).toMatch(/> 77"/);
  expect(text).toMatch(/longer than 100 s/);
  await expect(ruleGroups('felucca-operator', `${set}queueWaitSeconds=7`)).rejects.toThrow(
    /queueWaitSeconds/,
  );
  await expect(ruleGroups('felucca-control-plane', `${set}availabilityPercent=100`)).rejects.toThrow(
    /availability/,
  );
});

test('without a control plane nobody is told that it is away', async () => {
  const names = (await ruleGroups('felucca-operator', 'controlPlane.url=')).map(({ name }) => name);
  expect(names).toEqual(['reconcile', 'cluster', 'process'].map((group) => `felucca-operator-${group}`));
});

test('another selector reaches every series, and what both charts tell of a process is the same', async () => {
  const groups = await ruleGroups('felucca-operator', 'metrics.selector=job="mine"');
  for (const { alert, expr } of groups.flatMap((group) => group.rules)) {
    expect(expr, alert).toMatch(/\{job="mine"/);
    expect(expr, alert).not.toMatch(/felucca-operator-metrics|\{@/);
  }
  const process = (chart: Chart) =>
    readFileSync(join(repository, `helm/${chart}/alerts/process.yaml`), 'utf8');
  expect(process('felucca-operator')).toBe(process('felucca-control-plane'));
});
