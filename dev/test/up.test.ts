import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { repository } from '../src/images/bundle.ts';
import { waitUntil } from '../src/process/wait-until.ts';

const state = mkdtempSync(join(tmpdir(), 'felucca-up-'));
const name = `up-${process.pid}`;
const startTimeoutMs = 240_000;
const running: ChildProcess[] = [];

interface Run {
  readonly process: ChildProcess;
  output(): string;
  ended: Promise<number | null>;
}

function cli(command: 'up' | 'down', environment: Record<string, string> = {}): Run {
  const child = spawn(join(repository, 'node_modules/.bin/node'), ['dev/src/up/cli.ts', command], {
    cwd: repository,
    env: { ...process.env, NAME: name, FELUCCA_STATE: state, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { process: child, output: () => output, ended };
}

async function upAndReady(): Promise<Run> {
  const up = cli('up');
  await waitUntil(
    `make up is ready`,
    () => {
      if (up.process.exitCode !== null) throw new Error(up.output());
      return up.output().includes('Felucca is up');
    },
    { timeoutMs: startTimeoutMs },
  ).catch((error: Error) => {
    throw new Error(`${error.message}\n${up.output()}`);
  });
  return up;
}

/** What "Try next" says under a number, done as it stands there; the status of the answer. */
function tryNext(run: Run, number: number): number {
  const [, command = ''] = new RegExp(`^  ${number}\\. .*\\n +(curl .*)$`, 'm').exec(run.output()) ?? [];
  const key = readFileSync(join(state, name, 'platform-key'), 'utf8');
  const quiet = command.replace('curl -sX', `curl -so /dev/null -w '%{http_code}' -X`);
  return Number(
    execFileSync('sh', ['-c', quiet], { encoding: 'utf8', env: { ...process.env, FELUCCA_KEY: key } }),
  );
}

/** Processes that name our state folder or database on their command line. */
function processesOfStack(): string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .map((pid) => {
      try {
        return `${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`;
      } catch {
        return '';
      }
    })
    .filter((line) => line.includes(state) || line.includes(`-${name}-`));
}

afterAll(async () => {
  for (const child of running) child.kill('SIGKILL');
  await cli('down', { PURGE: '1' }).ended;
  rmSync(state, { recursive: true, force: true });
});

test('make up orders a database and uses it; it finds everything again after a stop and after kill -9', async () => {
  const first = await upAndReady();
  expect(first.output()).toMatch(/accepted as operation/);
  expect(first.output()).toMatch(/\+\d+ ms delivered to the operator/);
  const realContainers = !first.output().includes('no container runs');
  if (realContainers) expect(first.output()).toMatch(/PostgreSQL 18\S*, 1 rows in "visits"/);
  expect(tryNext(first, 2)).toBe(202);
  const down = cli('down');
  expect(await down.ended).toBe(0);
  expect(await first.ended).toBe(0);
  if (process.platform === 'linux') expect(processesOfStack()).toEqual([]);

  const second = await upAndReady();
  expect(second.output()).toMatch(/is there from the last time \(generation 1\)/);
  expect(second.output()).toMatch(/state in .*, as this checkout left it/);
  expect(tryNext(second, 2)).toBe(202);
  if (realContainers) expect(second.output()).toMatch(/2 rows in "visits"/);
  second.process.kill('SIGKILL');
  await second.ended;
  if (process.platform === 'linux')
    await waitUntil('everything died with its parent', () => processesOfStack().length === 0, {
      timeoutMs: 15_000,
    });

  const third = await upAndReady();
  expect(third.output()).toMatch(/is there from the last time/);
  if (realContainers) expect(third.output()).toMatch(/3 rows in "visits"/);
  third.process.kill('SIGINT');
  expect(await third.ended).toBe(0);

  const purge = cli('down', { PURGE: '1' });
  expect(await purge.ended).toBe(0);
  expect(existsSync(join(state, name))).toBe(false);
}, 900_000);
