import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { type Suite, total } from './test-summary.ts';

/**
 * `node dev/src/test-total.ts [--minutes N] <command>...`: one after the other, whatever became of those before; then one
 * line for all. What still runs after N minutes is ended and has failed, and what has not begun by then is skipped: whoever
 * waits for this learns which suite took how long instead of nothing.
 */
const { values, positionals: commands } = parseArgs({
  allowPositionals: true,
  options: { minutes: { type: 'string', default: '1440' } },
});
const begunMs = performance.now();
const limitMs = Number(values.minutes) * 60_000;
const passedMs = (): number => performance.now() - begunMs;
const TERM_MS = 20_000;
const OUTPUT_MS = 5_000;

function run(command: string): Promise<Suite> {
  return new Promise((resolve) => {
    const startedMs = passedMs();
    let lastLine = '';
    let rest = '';
    // A group of its own: its children end with it.
    const child = spawn('bash', ['-c', command], { stdio: ['inherit', 'pipe', 'inherit'], detached: true });
    const signal = (name: NodeJS.Signals): void => {
      try {
        process.kill(-(child.pid ?? 0), name);
      } catch {
        // It ended meanwhile.
      }
    };
    const forward = (name: NodeJS.Signals): void => signal(name);
    process.on('SIGINT', forward).on('SIGTERM', forward);
    const timers = [
      setTimeout(() => signal('SIGTERM'), limitMs - startedMs),
      setTimeout(() => signal('SIGKILL'), limitMs - startedMs + TERM_MS),
    ];
    const ended = (exitCode: number): void => {
      for (const timer of timers) clearTimeout(timer);
      process.off('SIGINT', forward).off('SIGTERM', forward);
      const isLate = passedMs() > limitMs;
      resolve({
        command,
        exitCode,
        lastLine: rest || lastLine,
        seconds: (passedMs() - startedMs) / 1000,
        isLate,
      });
    };
    child.stdout.setEncoding('utf8');
    child.stdout.on('data', (chunk: string) => {
      process.stdout.write(chunk);
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      lastLine = lines.findLast((line) => line !== '') ?? lastLine;
    });
    child.once('error', () => ended(127));
    child.once('close', (code) => ended(code ?? 1));
    // What a suite left behind may hold its output open.
    child.once('exit', (code) => setTimeout(() => ended(code ?? 1), OUTPUT_MS).unref());
  });
}

const suites: Suite[] = [];
const skipped: string[] = [];
for (const command of commands) {
  const since = `${(passedMs() / 60_000).toFixed(1)} min since the start`;
  if (passedMs() > limitMs) skipped.push(command);
  else {
    process.stdout.write(`== ${command}, ${since}\n`);
    suites.push(await run(command));
  }
}
const { lines, ok } = total(suites, skipped);
process.stdout.write(`${lines.join('\n')}\n`);
process.exit(ok ? 0 : 1);
