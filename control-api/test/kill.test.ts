import { type PostgresServer, startPostgres } from '@felucca/dev/postgres';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApiProcess } from './support/api-process.ts';
import { tinyBlueprint } from './support/tiny-blueprint.ts';

const ROUNDS = 5;
const WRITERS = 12;

let server: PostgresServer;
let api: ApiProcess;
let database: pg.Client;
beforeAll(async () => {
  server = await startPostgres({ name: 'kill' });
  const url = await server.createDatabase('kill');
  api = await ApiProcess.start(url);
  database = new pg.Client({ connectionString: url });
  await database.connect();
  await api.call('POST', '/v1/organizations', { name: 'acme' });
  await api.call('POST', '/v1/data-planes', { name: 'dp' });
  await api.call('POST', '/v1/blueprints', tinyBlueprint());
});
afterAll(async () => {
  await database?.end();
  await api?.stop();
  await server?.stop();
});

// Invariant L1.
test('kill -9 in a storm of writes loses no acknowledged write and leaves no half one', async () => {
  const acknowledged = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round++) {
    let stop = false;
    const writers = Array.from({ length: WRITERS }, async (_, writer) => {
      for (let n = 0; !stop; n++) {
        const name = `r${round}-w${writer}-n${n}`;
        const path = '/v1/organizations/acme/instances';
        try {
          const made = await api.call('POST', path, {
            name,
            dataPlane: 'dp',
            blueprint: 'tiny',
            version: '1.0.0',
          });
          if (made.status !== 202) continue;
          acknowledged.set(made.body.id, 1);
          const changed = await api.call('POST', `${path}/${name}/suspend`);
          if (changed.status === 202) acknowledged.set(made.body.id, 2);
        } catch {
          // The process died under this request: not acknowledged, so both outcomes are right.
        }
      }
    });
    // Long enough that many writes are in flight, at a different point of their life each round.
    const target = acknowledged.size + 15 + round * 4;
    while (acknowledged.size < target) await new Promise((resolve) => setImmediate(resolve));
    await api.signal('SIGKILL');
    stop = true;
    await Promise.all(writers);
    await api.restart();
  }

  const { rows } = await database.query(`
    SELECT i.id::text, i.generation::int,
           (SELECT d.generation::int FROM felucca.desired d WHERE d.id = i.id::text) AS desired,
           (SELECT count(*)::int FROM felucca.operations o WHERE o.instance_id = i.id) AS operations,
           (SELECT count(*)::int FROM felucca.audit a WHERE a.detail->>'id' = i.id::text) AS audits
      FROM felucca.instances i`);
  const byId = new Map(rows.map((row) => [row.id, row]));
  for (const [id, generation] of acknowledged)
    expect(byId.get(id)?.generation, `acknowledged write of ${id}`).toBeGreaterThanOrEqual(generation);
  for (const row of rows)
    expect(row).toEqual({
      id: row.id,
      generation: row.generation,
      desired: row.generation,
      operations: row.generation,
      audits: row.generation,
    });
  const { rows: feed } = await database.query(
    'SELECT max(rev) = (SELECT head FROM felucca.feed_heads) AS current, count(DISTINCT rev) = count(*) AS distinct FROM felucca.desired',
  );
  expect(feed[0]).toEqual({ current: true, distinct: true });
  expect(acknowledged.size).toBeGreaterThan(ROUNDS * 15);
});
