import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BinaryName, binaries, releaseOf } from './versions.ts';

const modules = fileURLToPath(new URL('../../binaries/', import.meta.url));
const buildTimeoutMs = 1_800_000;
const progressEveryMs = 5_000;

/** Compiles a program from the source pinned by its go.mod and go.sum. Minutes the first time, on few cores. */
export async function goBuild(
  name: BinaryName,
  target: string,
  onProgress: (line: string) => void,
): Promise<void> {
  const source = releaseOf(name);
  const started = performance.now();
  const what = `${name} ${source.version}`;
  const report = () => {
    const seconds = Math.round((performance.now() - started) / 1000);
    onProgress(`building ${what} from source, once per machine: ${seconds} s`);
  };
  await mkdir(dirname(target), { recursive: true });
  report();
  const timer = setInterval(report, progressEveryMs);
  try {
    await go(`${modules}${source.module}`, [
      'build',
      '-trimpath',
      `-tags=${(source.tags ?? []).join(',')}`,
      `-ldflags=${['-s', '-w', ...(source.ldflags ?? [])].join(' ')}`,
      '-o',
      target,
      binaries[name].goPackage,
    ]);
  } catch (error) {
    throw new Error(`go build of ${what} failed: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    clearInterval(timer);
  }
}

function go(directory: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('go', args, {
      cwd: directory,
      // The compiler lives briefly: with a larger heap it is done a seventh sooner.
      env: { GOGC: '400', ...process.env, CGO_ENABLED: '0', GOWORK: 'off' },
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: buildTimeoutMs,
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr = (stderr + chunk).slice(-4096);
    });
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'ENOENT' ? new Error('there is no Go toolchain on PATH') : error),
    );
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${signal ?? `exit ${code}`}: ${stderr.trim()}`));
    });
  });
}
