import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { packImage } from './archive.ts';
import { type TarEntry, writeTar } from './tar.ts';

const folder = mkdtempSync(join(tmpdir(), 'felucca-tar-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const deep = `${'d'.repeat(90)}/${'e'.repeat(60)}/file`;
const entries: TarEntry[] = [
  { path: 'bin/run', mode: 0o755, content: 'x'.repeat(1_000) },
  { path: 'bin/alias', link: 'run' },
  { path: 'tmp', mode: 0o1777, folder: true },
  { path: deep, mode: 0o644, content: '' },
];

test('the tar of the system reads what we wrote: names, modes, links and folders', () => {
  const archive = join(folder, 'a.tar');
  writeTar(archive, entries);
  const listing = execFileSync('tar', ['tvf', archive], { encoding: 'utf8' });
  expect(listing).toMatch(/^-rwxr-xr-x .* 1000 .* bin\/run$/m);
  expect(listing).toMatch(/bin\/alias -> run$/m);
  expect(listing).toMatch(/^drwxrwxrwt .* tmp\/$/m);
  expect(listing).toContain(deep);
});

test('equal content gives equal bytes, whatever its order', () => {
  const first = writeTar(join(folder, 'b.tar'), entries);
  const second = writeTar(join(folder, 'c.tar'), entries.toReversed());
  expect(second).toBe(first);
});

test('an image is packed once and again only when something in it changed', () => {
  const image = (content: string) => ({
    name: 'small',
    reference: 'felucca/small:dev',
    layers: [[{ path: 'etc/motd', mode: 0o644, content }]],
    config: { User: '65532' },
  });
  const made = packImage(image('one'), folder);
  const bytes = readFileSync(made.archive);
  expect(made.cached).toBe(false);
  expect(packImage(image('one'), folder)).toEqual({ ...made, cached: true });
  rmSync(made.archive);
  packImage(image('one'), folder);
  expect(readFileSync(made.archive).equals(bytes)).toBe(true);
  expect(packImage(image('two'), folder).archive).not.toBe(made.archive);
});
