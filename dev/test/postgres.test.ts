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
