import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Report, summarize } from './test-summary.ts';

/**
 * `node dev/src/test-run.ts [vitest arguments]`: all suites, progress as they run, and as the last line
 * `N passed, N failed, N skipped`. Fails when a test or a suite failed, and when nothing ran at all. What breaks the
 * cluster on purpose runs only when it is named: `make faults`.
 */
const given = process.argv.slice(2);
const projects = given.some((argument) => argument.startsWith('--project')) ? [] : ['--project=!chaos'];
const repository = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'felucca-tests-'));
const reportPath = join(folder, 'report.json');

const exitCode = await new Promise<number>((resolve) => {
  const vitest = spawn(
    join(repository, 'node_modules/.bin/vitest'),
    [
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${reportPath}`,
      ...projects,
      ...given,
    ],
    { cwd: repository, stdio: 'inherit' },
  );
  // The terminal sends Ctrl-C to both of us; we stay to print the counts.
  process.on('SIGINT', () => undefined);
  process.once('SIGTERM', () => vitest.kill('SIGTERM'));
  vitest.once('error', () => resolve(127));
  vitest.once('exit', (code, signal) => resolve(signal === null ? (code ?? 1) : 1));
});

let report: Report | undefined;
try {
  report = JSON.parse(readFileSync(reportPath, 'utf8')) as Report;
} catch {
  process.stderr.write(`vitest ended with code ${exitCode} and wrote no report; its output is above\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const { lines, ok } = summarize(report, exitCode, repository);
process.stdout.write(`${lines.join('\n')}\n`);
process.exitCode = ok ? 0 : exitCode || 1;
