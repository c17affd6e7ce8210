import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from './mutant.ts';

export interface TestRun {
  /** `broken`: nothing ran, as when the code does not even load. */
  readonly result: 'passed' | 'failed' | 'broken' | 'hung';
  /** First failed test, or what was said instead. */
  readonly why: string;
}

interface Report {
  readonly numPassedTests: number;
  readonly testResults: readonly {
    readonly message?: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

const LIMIT_MS: Record<Test['project'], number> = { unit: 90_000, real: 600_000, acto: 600_000 };

/** Runs one test in a tree of sources. */
export const runTest = (tree: string, test: Test): Promise<TestRun> =>
  test.project === 'acto' ? runTrial(tree, test) : runVitest(tree, test);

async function runTrial(tree: string, { file, named = '', project }: Test): Promise<TestRun> {
  const { output, hung } = await run([join(tree, file), '--only', named], tree, LIMIT_MS[project]);
  if (hung) return tookTooLong(project);
  const [, passed, failed] = /^(\d+) passed, (\d+) failed, \d+ skipped$/m.exec(output) ?? [];
  if (failed === undefined) return { result: 'broken', why: output.slice(-2_000) };
  if (failed === '0') return { result: Number(passed) > 0 ? 'passed' : 'broken', why: output.slice(-2_000) };
  return { result: 'failed', why: /^ {4}Finding: (.*)$/m.exec(output)?.[1]?.slice(0, 200) ?? named };
}

async function runVitest(tree: string, { project, file, named }: Test): Promise<TestRun> {
  const reportPath = join(tree, 'report.json');
  rmSync(reportPath, { force: true });
  const pattern = named?.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const { output, hung } = await run(
    [
      join(tree, 'node_modules/vitest/vitest.mjs'),
      ...['run', '--project', project, '--bail=1', '--reporter=json', `--outputFile=${reportPath}`],
      ...(pattern === undefined ? [] : ['-t', pattern]),
      file,
    ],
    tree,
    LIMIT_MS[project],
  );
  if (hung) return tookTooLong(project);
  if (!existsSync(reportPath)) return { result: 'broken', why: output.slice(-2_000) };
  return judge(JSON.parse(readFileSync(reportPath, 'utf8')) as Report);
}

const tookTooLong = (project: Test['project']): TestRun => ({
  result: 'hung',
  why: `no end within ${LIMIT_MS[project] / 1000} s`,
});

function judge({ numPassedTests, testResults }: Report): TestRun {
  const failed = testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .find(({ status }) => status === 'failed');
  if (failed) return { result: 'failed', why: failed.fullName };
  const message = testResults.find((item) => item.message)?.message;
  if (numPassedTests > 0 && !message) return { result: 'passed', why: '' };
  return { result: 'broken', why: message ?? 'no test of that name ran' };
}

function run(args: string[], cwd: string, limitMs: number): Promise<{ output: string; hung: boolean }> {
  return new Promise((resolve) => {
    const env = { ...process.env, NO_COLOR: '1' };
    // A group of its own: whatever the test has started ends with it.
    const child = spawn(process.execPath, args, {
      cwd,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let hung = false;
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => {
        output = (output + chunk).slice(-20_000);
      });
    const endGroup = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // All of them have ended.
      }
    };
    const timer = setTimeout(() => {
      hung = true;
      endGroup();
    }, limitMs);
    child.once('close', () => {
      clearTimeout(timer);
      endGroup();
      resolve({ output, hung });
    });
  });
}
