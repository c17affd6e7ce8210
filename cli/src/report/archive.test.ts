import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { readArchive } from '../../test/support/archive.ts';
import { writeArchive } from './archive.ts';

const folder = mkdtempSync(join(tmpdir(), 'felucca-archive-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** More than streams keep in their buffers: parts of it are still to be written when the file fails. */
const files = new Map(Array.from({ length: 9 }, (_, n) => [`${n}.txt`, 'x'.repeat(50_000)]));
const write = (path: string) => writeArchive(path, 'report', files, new Date('2026-01-01T00:00:00Z'));

let uncaught: unknown[] = [];
beforeEach(() => {
  uncaught = [];
  const note = (error: unknown) => void uncaught.push(error);
  process.on('uncaughtException', note);
  return () => void process.off('uncaughtException', note);
});

test('an archive holds each file under one folder', async () => {
  const path = join(folder, 'whole.tar.gz');
  await write(path);
  expect([...(await readArchive(path)).keys()]).toEqual([...files.keys()].map((name) => `report/${name}`));
});

test.each<[string, string, (path: string) => void]>([
  ['a folder that is missing', 'missing/x', () => {}],
  ['a file that is there', 'there', (path) => writeFileSync(path, 'old')],
  ['a folder', 'folder', (path) => mkdirSync(path)],
])('%s is refused to whoever asked, and to nobody else', async (_, name, prepare) => {
  const path = join(folder, name);
  prepare(path);
  await expect(write(path)).rejects.toThrow(/ENOENT|EEXIST/);
  await new Promise((resolve) => setImmediate(resolve));
  expect(uncaught).toEqual([]);
  if (name === 'there') expect(readFileSync(path, 'utf8')).toBe('old');
});
