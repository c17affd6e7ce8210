import { expect, test } from 'vitest';
import { checksumFor, fill } from './download.ts';
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
