import { readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../src/postgres/index.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres({ name: 'pgtest' });
});
afterAll(() => server?.stop());

const ask = async (url: string, sql: string) => {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
};

test('the embedded server is Postgres 18 and gives each caller a database of its own', async () => {
  const url = await server.createDatabase('mine');
  expect((await ask(url, 'SHOW server_version'))[0].server_version).toMatch(/^18\./);
  expect((await ask(url, 'SELECT current_database() AS name'))[0].name).toBe('mine');
});

test('committed rows survive a kill and a restart', async () => {
  await ask(server.url, 'CREATE TABLE kept AS SELECT 42 AS n');
  await server.kill();
  await server.restart();
  expect(await ask(server.url, 'SELECT n FROM kept')).toEqual([{ n: 42 }]);
});

test('a database of the last start is found again', async () => {
  const url = await server.ensureDatabase('again');
  await ask(url, 'CREATE TABLE kept AS SELECT 7 AS n');
  expect(await server.ensureDatabase('again')).toBe(url);
  expect(await ask(url, 'SELECT n FROM kept')).toEqual([{ n: 7 }]);
});

test('a persistent server that somebody kills is started again, and says so', async () => {
  const lines: string[] = [];
  const name = `mended-${process.pid}`;
  const mended = await startPostgres({ name, persistent: true, onProgress: (line) => lines.push(line) });
  try {
    await ask(mended.url, 'CREATE TABLE kept AS SELECT 5 AS n');
    process.kill(
      Number(readFileSync(join(mended.dataDir, 'postmaster.pid'), 'utf8').split('\n', 1)[0]),
      'SIGKILL',
    );
    await expect.poll(() => lines.at(-1)).toMatch(/^postgres ended \(SIGKILL\); it is started again; log /);
    const rows = async () => ask(mended.url, 'SELECT n FROM kept').catch(() => undefined);
    await expect.poll(rows, { timeout: 20_000 }).toEqual([{ n: 5 }]);
  } finally {
    await mended.stop();
    rmSync(dirname(mended.dataDir), { recursive: true, force: true });
  }
});

test('a persistent server keeps its data, address and password', async () => {
  const start = () => startPostgres({ name: `kept-${process.pid}`, persistent: true });
  const first = await start();
  await ask(first.url, 'CREATE TABLE kept AS SELECT 1 AS n');
  // As after a power cut, not a clean stop.
  await first.kill();
  const second = await start();
  try {
    expect(second.url).toBe(first.url);
    expect(await ask(second.url, 'SELECT n FROM kept')).toEqual([{ n: 1 }]);
  } finally {
    await second.stop();
    rmSync(dirname(second.dataDir), { recursive: true, force: true });
  }
});
