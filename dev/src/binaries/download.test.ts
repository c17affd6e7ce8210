import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checksumFor, downloadRelease, fill } from './download.ts';
import { type BinaryName, binaries, releaseOf } from './versions.ts';

const sum = 'a'.repeat(64);
const other = 'b'.repeat(64);

test('a checksum file may be the bare sum', () => {
  expect(checksumFor('kubectl', `${sum}\n`)).toBe(sum);
});

test('a checksum list is searched for exactly this file', () => {
  const list = `${other}  etcd-v3-linux-arm64.tar.gz\n${sum} *./etcd-v3-linux-amd64.tar.gz\n`;
  expect(checksumFor('etcd-v3-linux-amd64.tar.gz', list)).toBe(sum);
  expect(checksumFor('etcd-v3-linux', list)).toBeUndefined();
});

test('an error page is not a checksum', () => {
  expect(checksumFor('kubectl', '<html>Not found</html>')).toBeUndefined();
});

test('every download address is complete', () => {
  for (const name of Object.keys(binaries) as BinaryName[]) {
    const source = releaseOf(name);
    for (const template of [source.url, source.checksumUrl, source.member ?? '']) {
      expect(fill(template, name, source)).not.toMatch(/[{}]/);
    }
  }
});

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'felucca-download-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** A release server: answers by file name, fails as a network does for everything else. */
function serving(files: Record<string, string | Buffer>) {
  const asked: string[] = [];
  const get = async (input: unknown) => {
    const file = basename(String(input));
    asked.push(file);
    const body = files[file];
    if (body === undefined) throw new TypeError('fetch failed', { cause: new Error('no route to host') });
    return new Response(body as string);
  };
  return { asked, get: get as typeof fetch };
}

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');
const quiet = () => {};

test('a program in an archive is downloaded, verified and unpacked', async () => {
  const member = fill('etcd-v{version}-{os}-{arch}/etcd', 'etcd', releaseOf('etcd'));
  mkdirSync(join(directory, member, '..'), { recursive: true });
  writeFileSync(join(directory, member), 'the program');
  execFileSync('tar', ['-C', directory, '-czf', join(directory, 'archive'), member]);
  const archive = readFileSync(join(directory, 'archive'));
  const name = fill('etcd-v{version}-{os}-{arch}.tar.gz', 'etcd', releaseOf('etcd'));
  const server = serving({ SHA256SUMS: `${sha256(archive)}  ${name}\n`, [name]: archive });
  const target = join(directory, 'bin', 'etcd');
  expect(await downloadRelease('etcd', target, quiet, server.get)).toBeUndefined();
  expect(readFileSync(target, 'utf8')).toBe('the program');
  expect(existsSync(`${target}.download`)).toBe(false);
});

test('a download whose checksum is wrong is an error, and nothing of it stays', async () => {
  const server = serving({ 'kubectl.sha256': sha256('what was published'), kubectl: 'something else' });
  const target = join(directory, 'kubectl');
  await expect(downloadRelease('kubectl', target, quiet, server.get)).rejects.toThrow(
    /has SHA-256 .* is published/,
  );
  expect(existsSync(target)).toBe(false);
});

test('a host that does not answer is asked once in a run', async () => {
  const server = serving({});
  const target = join(directory, 'helm');
  const whys = [await downloadRelease('helm', target, quiet, server.get)];
  whys.push(await downloadRelease('helm', target, quiet, server.get));
  expect(whys).toEqual([
    expect.stringMatching(/not reachable.*no route/),
    expect.stringMatching(/not reachable/),
  ]);
  expect(server.asked).toHaveLength(1);
});
