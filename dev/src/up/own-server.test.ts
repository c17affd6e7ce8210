import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { ownServer } from './own-server.ts';
import { DATABASE_URL_FILE } from './summary.ts';

const root = mkdtempSync(join(tmpdir(), 'felucca-own-server-'));
const url = 'postgres://felucca@127.0.0.1:5432/felucca';
mkdirSync(join(root, 'dev'));
writeFileSync(join(root, 'dev', DATABASE_URL_FILE), url);
mkdirSync(join(root, 'without'));
afterAll(() => rmSync(root, { recursive: true }));

const said: string[] = [];
const serverFor = (name: string, given?: string) =>
  ownServer(given, join(root, name), (line) => said.push(line));

test('a server of your own is taken as it is, also when nothing was ever started here', () => {
  expect(serverFor('dev')).toBeUndefined();
  expect(serverFor('dev', 'postgres://mine/db')).toBe('postgres://mine/db');
  expect(ownServer(url, '/nowhere/dev', () => undefined)).toBe(url);
  expect(said).toEqual([]);
});

test('what was exported for felucca admin is the embedded server, and of another stack it is refused', () => {
  expect(serverFor('dev', url)).toBeUndefined();
  expect(said.join()).toMatch(/^DATABASE_URL is that of this stack/);
  expect(() => serverFor('other', url)).toThrow(/database of the stack "dev".*unset DATABASE_URL/);
});
