import { expect, test } from 'vitest';
import { unexpectedEnd } from './unexpected-end.ts';

const killed = { code: null, signal: 'SIGKILL' } as const;

test('a process that ends is started again and said so, until it is a crash loop: then the remedy is said', () => {
  const lines: string[] = [];
  let starts = 0;
  const restart = async () => {
    starts += 1;
  };
  const onExit = unexpectedEnd({
    name: 'postgres',
    logPath: '/log',
    say: (line) => lines.push(line),
    restart,
  });
  for (let end = 0; end < 6; end += 1) onExit(killed);
  expect(starts).toBe(5);
  expect(lines[0]).toBe('postgres ended (SIGKILL); it is started again; log /log');
  expect(lines[5]).toMatch(
    /^postgres ended \(SIGKILL\); .*run "make up" again: the data is kept; log \/log$/,
  );
});

test('where no restart is possible, or it fails, the remedy is said at once', async () => {
  const lines: string[] = [];
  const say = (line: string) => lines.push(line);
  unexpectedEnd({ name: 'node-1', logPath: '/log', say })({ code: 1, signal: null });
  const restart = () => Promise.reject(new Error('port 1 is taken'));
  unexpectedEnd({ name: 'etcd', logPath: '/log', say, restart })(killed);
  await expect.poll(() => lines.length).toBe(3);
  expect(lines[0]).toMatch(/^node-1 ended \(code 1\); to mend it, press Ctrl-C and run "make up" again/);
  expect(lines[2]).toMatch(/^etcd could not be started again \(port 1 is taken\); to mend it/);
});
