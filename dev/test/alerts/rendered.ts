import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { resolveBinary } from '../../src/binaries/resolve.ts';

const run = promisify(execFile);
export const repository = join(import.meta.dirname, '../../..');

export type Chart = 'felucca-operator' | 'felucca-control-plane';
export const CHARTS: readonly Chart[] = ['felucca-operator', 'felucca-control-plane'];
export const RELEASE_NAMESPACE = 'felucca-system';
/** What each chart needs before it renders at all. */
const REQUIRED: Record<Chart, string[]> = {
  'felucca-operator': ['controlPlane.url=https://felucca.example'],
  'felucca-control-plane': ['database.secretName=database', 'keys.secretName=keys'],
};

export interface Rule {
  alert: string;
  expr: string;
  for?: string;
  labels: Record<string, string>;
  annotations: { summary: string; description: string; runbook_url: string };
}
export interface RuleGroup {
  name: string;
  rules: Rule[];
}

/** Objects of one kind that the chart makes: the text that is tested is the text that is shipped. */
export async function rendered<T>(chart: Chart, kind: string, ...values: string[]): Promise<T[]> {
  const helm = await resolveBinary('helm');
  const set = [...REQUIRED[chart], ...values].flatMap((value) => ['--set', value]);
  const home = mkdtempSync(join(tmpdir(), 'felucca-helm-'));
  const { stdout } = await run(
    helm,
    ['template', 'release', join(repository, 'helm', chart), '--namespace', RELEASE_NAMESPACE, ...set],
    { maxBuffer: 16 << 20, env: { PATH: process.env['PATH'], HOME: home } },
  ).finally(() => rmSync(home, { recursive: true, force: true }));
  return parseAllDocuments(stdout)
    .map((document) => document.toJS() as T & { kind: string })
    .filter((object) => object?.kind === kind);
}

export async function ruleGroups(chart: Chart, ...values: string[]): Promise<RuleGroup[]> {
  const [rule] = await rendered<{ spec: { groups: RuleGroup[] } }>(
    chart,
    'PrometheusRule',
    'metrics.prometheusRule.enabled=true',
    ...values,
  );
  return rule?.spec.groups ?? [];
}

/** @throws with what promtool says */
export async function promtool(...args: string[]): Promise<string> {
  const program = await resolveBinary('promtool');
  return run(program, args, { maxBuffer: 16 << 20 }).then(
    ({ stdout }) => stdout,
    (error: Error & { stdout?: string; stderr?: string }) => {
      throw new Error(`promtool ${args.join(' ')}\n${error.stdout ?? ''}${error.stderr ?? ''}`);
    },
  );
}
