/** The part of vitest's JSON report that we read. */
export interface Report {
  readonly numPassedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message?: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

/** Skipped and failed tests by name, then the counts. A file that could not run counts as one failure. */
export function summarize(
  report: Report | undefined,
  exitCode: number,
  root: string,
): { lines: string[]; ok: boolean } {
  const lines: string[] = [];
  let [passed, failed, skipped] = [0, 0, 0];
  for (const file of report?.testResults ?? []) {
    const name = file.name.startsWith(`${root}/`) ? file.name.slice(root.length + 1) : file.name;
    let failedHere = 0;
    for (const test of file.assertionResults) {
      if (test.status === 'passed') passed++;
      else if (test.status === 'failed') {
        failedHere++;
        lines.push(`FAILED  ${name}: ${test.fullName}`);
      } else {
        skipped++;
        lines.push(`SKIPPED ${name}: ${test.fullName}`);
      }
    }
    if (file.status === 'failed' && failedHere === 0) {
      failedHere = 1;
      lines.push(`FAILED  ${name}: the file itself ${(file.message ?? '').split('\n')[0]}`);
    }
    failed += failedHere;
  }
  // Errors outside of any test, a crashed runner, no report: green counts must never hide them.
  if (failed === 0 && (exitCode !== 0 || report === undefined)) {
    failed = 1;
    lines.push(`FAILED  the test run ended with code ${exitCode}; its output is above`);
  }
  if (passed === 0) lines.push('Nothing passed: no test ran.');
  lines.push(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return { lines, ok: failed === 0 && passed > 0 };
}

export interface Suite {
  readonly command: string;
  readonly exitCode: number;
  /** The last line that it printed. */
  readonly lastLine: string;
  readonly seconds: number;
  /** It was ended because the time for all was over. */
  readonly isLate?: boolean;
}

/** The counts and the time of each suite, then of all in one line. A bad end without a counted failure counts as one. */
export function total(
  suites: readonly Suite[],
  notBegun: readonly string[] = [],
): { lines: string[]; ok: boolean } {
  const lines: string[] = [];
  let [passed, failed, skipped] = [0, 0, 0];
  for (const { command, exitCode, lastLine, seconds, isLate } of suites) {
    const counts = /^(\d+) passed, (\d+) failed, (\d+) skipped$/.exec(lastLine);
    const [, good = 0, bad = 0, left = 0] = (counts ?? []).map(Number);
    passed += good;
    skipped += left;
    const isLost = counts === null || (exitCode !== 0 && bad === 0);
    failed += isLost ? 1 : bad;
    const how = isLate ? 'was ended: the time for all was over' : `ended with code ${exitCode}`;
    if (isLost) lines.push(`FAILED  ${command} ${how}; its output is above`);
    lines.push(
      `${command}: ${good} passed, ${bad} failed, ${left} skipped in ${(seconds / 60).toFixed(1)} min`,
    );
  }
  for (const command of notBegun) lines.push(`SKIPPED ${command}: the time for all was over`);
  skipped += notBegun.length;
  lines.push(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return { lines, ok: failed === 0 && passed > 0 };
}
