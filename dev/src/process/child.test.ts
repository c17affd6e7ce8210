import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startChild } from './child.ts';
import { identify, isAlive, killIfSame } from './identity.ts';
import { waitUntil } from './wait-until.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'felucca-child-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function shell(name: string, script: string) {
  const env = { PATH: process.env['PATH'] ?? '' };
  return { name, command: '/bin/sh', args: ['-c', script], logPath: join(directory, `${name}.log`), env };
}

test('waiting for something a process should do fails as soon as the process ends, with its last words', async () => {
  const child = startChild(shell('broken', 'echo "port 1 is taken" >&2; exit 3'));
  await expect(
    waitUntil('it to serve', () => false, { timeoutMs: 10_000, children: [child] }),
  ).rejects.toThrow(
    /broken exited with code 3 while waiting for: it to serve.\nLog: .*broken.log\nport 1 is taken/,
  );
});

test('a wait that takes too long names what, how long, the last error and the log', async () => {
  const child = startChild(shell('slow', 'echo thinking; exec sleep 60'));
  const refuse = () => {
    throw new Error('connection refused');
  };
  await expect(waitUntil('it to serve', refuse, { timeoutMs: 300, children: [child] })).rejects.toThrow(
    /Gave up after 0.3 s waiting for: it to serve. Last error: connection refused.\nslow log: .*slow.log\nthinking/,
  );
  await child.stop();
});

test('stop ends a process that ignores SIGTERM, with its children', async () => {
  const child = startChild(shell('stubborn', 'trap "" TERM; sleep 60 & echo $!; wait; sleep 60'));
  const grandchild = await waitUntil(
    'its child',
    () => identify(Number(readFileSync(child.logPath, 'utf8'))),
    {
      timeoutMs: 5_000,
    },
  );
  await child.stop(200);
  expect(child.running).toBe(false);
  expect(child.lastExit?.signal).toBe('SIGKILL');
  await waitUntil('its child to end', () => !isAlive(grandchild), { timeoutMs: 5_000 });
});

test('only an end that nobody asked for is reported', async () => {
  const ends: unknown[] = [];
  const child = startChild(shell('worker', 'exec sleep 60'), { onExit: (exit) => ends.push(exit) });
  await child.restart();
  process.kill(child.pid!, 'SIGKILL');
  await waitUntil('the end to be noticed', () => !child.running, { timeoutMs: 5_000 });
  await child.restart();
  await child.stop();
  expect(ends).toEqual([{ code: null, signal: 'SIGKILL' }]);
});

test('a recycled pid is not ours to kill', () => {
  const me = identify(process.pid)!;
  killIfSame({ pid: process.pid, startedAt: `${me.startedAt}1` });
  expect(isAlive(me)).toBe(true);
});
