import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withLock } from './lock.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'felucca-lock-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

test('two holders in one process take turns', async () => {
  const path = join(directory, 'a.lock');
  const order: string[] = [];
  const { promise: entered, resolve: enter } = Promise.withResolvers<void>();
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const first = withLock(path, { timeoutMs: 5_000, purpose: 'first' }, async () => {
    enter();
    await released;
    order.push('first');
  });
  await entered;
  const second = withLock(
    path,
    { timeoutMs: 5_000, purpose: 'second' },
    async () => void order.push('second'),
  );
  await expect(withLock(path, { timeoutMs: 1, purpose: 'third' }, async () => {})).rejects.toThrow(
    /held by .*first/,
  );
  release();
  await Promise.all([first, second]);
  expect(order).toEqual(['first', 'second']);
});

test('the lock of a process killed with SIGKILL is free at once', async () => {
  const path = join(directory, 'b.lock');
  const script = `
    const { withLock } = await import(${JSON.stringify(new URL('./lock.ts', import.meta.url).href)});
    await withLock(${JSON.stringify(path)}, { timeoutMs: 1000, purpose: 'held' }, async () => {
      process.stdout.write('held');
      await new Promise((resolve) => setTimeout(resolve, 60000));
    });`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  await expect(withLock(path, { timeoutMs: 1, purpose: 'me' }, async () => 1)).rejects.toThrow(
    /Could not get the lock/,
  );
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  expect(await withLock(path, { timeoutMs: 1_000, purpose: 'me' }, async () => 'mine')).toBe('mine');
});
