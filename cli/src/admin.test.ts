import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { runAdmin } from './admin.ts';

const folder = mkdtempSync(join(tmpdir(), 'felucca-admin-'));
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

test('`felucca admin` is the program of that name in PATH, with its words and its exit code', async () => {
  const said: string[] = [];
  const terminal = { say: (text: string) => void said.push(text) };
  vi.stubEnv('PATH', folder);
  expect(await runAdmin(['restore'], terminal)).toBe(2);
  expect(said.join('')).toMatch(/felucca-admin is not in PATH/);
  const program = join(folder, 'felucca-admin');
  writeFileSync(program, '#!/bin/sh\n[ "$1 $2" = "restore --from" ] && exit 7\n');
  chmodSync(program, 0o755);
  expect(await runAdmin(['restore', '--from', 'x'], terminal)).toBe(7);
});
