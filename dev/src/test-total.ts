import { spawn } from 'node:child_process';
import { type Suite, total } from './test-summary.ts';

/** `node dev/src/test-total.ts <command>...`: one after the other, whatever became of those before; then one line for all. */
function run(command: string): Promise<Suite> {
  return new Promise((resolve) => {
    const started = performance.now();
    const ended = (exitCode: number): void =>
      resolve({
        command,
        exitCode,
        lastLine: rest || lastLine,
        seconds: (performance.now() - started) / 1000,
      });
    const child = spawn('bash', ['-c', command], { stdio: ['inherit', 'pipe', 'inherit'] });
    let lastLine = '';
    let rest = '';
    child.stdout.setEncoding('utf8');
    child.stdout.on('data', (chunk: string) => {
      process.stdout.write(chunk);
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      lastLine = lines.findLast((line) => line !== '') ?? lastLine;
    });
    child.once('error', () => ended(127));
    child.once('close', (code) => ended(code ?? 1));
  });
}

const suites: Suite[] = [];
const begun = performance.now();
for (const command of process.argv.slice(2)) {
  process.stdout.write(
    `== ${command}, ${((performance.now() - begun) / 60_000).toFixed(1)} min since the start\n`,
  );
  suites.push(await run(command));
}
const { lines, ok } = total(suites);
process.stdout.write(`${lines.join('\n')}\n`);
process.exitCode = ok ? 0 : 1;
