import { type PostgresServer, startPostgres } from '@felucca/dev/postgres';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { until } from './link-stage.ts';
import { ApiProcess, type Reply } from './support/api-process.ts';
import { FollowedFeed } from './support/followed-feed.ts';
import { tinyBlueprint } from './support/tiny-blueprint.ts';

const INSTANCES = '/v1/organizations/acme/instances';

let server: PostgresServer;
let url: string;
let api: ApiProcess;
let feed: FollowedFeed;
const open: pg.Client[] = [];
let made = 0;

beforeAll(async () => {
  server = await startPostgres({ name: 'database-faults', settings: { max_connections: '60' } });
  url = await server.createDatabase('felucca');
  api = await ApiProcess.start(url);
  await api.call('POST', '/v1/organizations', { name: 'acme' });
  for (const name of ['dp', 'other']) await api.call('POST', '/v1/data-planes', { name });
  await api.call('POST', '/v1/blueprints', tinyBlueprint());
  feed = await FollowedFeed.join(api);
});
afterEach(async () => {
  for (const client of open.splice(0)) await client.end().catch(() => undefined);
});
afterAll(async () => {
  feed?.close();
  await api?.stop();
  await server?.stop();
});

async function connect(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  open.push(client);
  return client;
}
const order = (dataPlane = 'dp'): Promise<Reply & { name: string }> => {
  made += 1;
  const name = `i${made}`;
  return api
    .call('POST', INSTANCES, { name, dataPlane, blueprint: 'tiny', version: '1.0.0' })
    .then((reply) => ({ ...reply, name }));
};
const arrives = (name: string, timeoutMs = 15_000): Promise<unknown> => feed.arrives(name, timeoutMs);
/** Nothing is left of the fault: an order is taken and arrives. */
async function healed(): Promise<void> {
  const { name } = await until(
    'an order is taken',
    async () => {
      const reply = await order();
      return reply.status === 202 && reply;
    },
    60_000,
  );
  await arrives(name);
}

describe('a database that misbehaves', () => {
  // Invariant L1.
  test('D4: a transaction that stays open for ever holds up nobody: not the feed, not the orders', async () => {
    const idle = await connect();
    await idle.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    // It has a snapshot, an id of its own and a row: what a counter that waits for older transactions would wait for.
    await idle.query(`SELECT pg_current_xact_id(), count(*) FROM felucca.desired`);
    await idle.query(`INSERT INTO felucca.audit (tenant_id, id, actor, action, object, detail)
      VALUES ('00000000-0000-0000-0000-000000000000', gen_random_uuid(), 'test', 'test', 'test', '{}')`);
    const startMs = performance.now();
    const { status, name } = await order();
    expect(status).toBe(202);
    await arrives(name);
    expect(performance.now() - startMs).toBeLessThan(3_000);
    await idle.query('ROLLBACK');
  });

  test('D4: who holds the counter of one data plane holds up its orders, which say so in time, and no other', async () => {
    const holder = await connect();
    await holder.query('BEGIN');
    await holder.query(
      `SELECT FROM felucca.feed_heads h JOIN felucca.data_planes p ON p.id = h.data_plane_id
       WHERE p.name = 'dp' FOR UPDATE OF h`,
    );
    const startMs = performance.now();
    const [held, free] = await Promise.all([order('dp'), order('other')]);
    expect(free.status).toBe(202);
    expect([held.status, held.headers.get('retry-after')]).toEqual([503, expect.any(String)]);
    expect(performance.now() - startMs).toBeLessThan(10_000);
    // Nothing of the refused order is left: its name is free.
    expect((await api.call('GET', `${INSTANCES}/${held.name}`)).status).toBe(404);
    await holder.query('ROLLBACK');
    await healed();
  });

  test('D10: the victim of a deadlock is answered as something to try again, and leaves nothing', async () => {
    const { name, body } = await order();
    const other = await connect();
    await other.query('BEGIN');
    await other.query(
      `SELECT FROM felucca.feed_heads h JOIN felucca.data_planes p ON p.id = h.data_plane_id
       WHERE p.name = 'dp' FOR UPDATE OF h`,
    );
    await other.query(`SET LOCAL deadlock_timeout = '60s'`);
    // It has the row of the Instance, and waits for the counter.
    const suspended = api.call('POST', `${INSTANCES}/${name}/suspend`, undefined, { 'if-match': '*' });
    const observer = await connect();
    await until('the request waits for the counter', async () => {
      const { rows } = await observer.query(
        `SELECT FROM pg_stat_activity WHERE application_name LIKE 'felucca%' AND wait_event_type = 'Lock'`,
      );
      return rows.length > 0;
    });
    const crossed = other.query('SELECT FROM felucca.instances WHERE id = $1 FOR UPDATE', [body.id]);
    const reply = await suspended;
    expect([503, 409]).toContain(reply.status);
    expect(reply.headers.get('retry-after')).not.toBeNull();
    await crossed;
    await other.query('ROLLBACK');
    expect((await api.call('GET', `${INSTANCES}/${name}`)).body).toMatchObject({
      suspend: false,
      generation: 1,
    });
    await healed();
  });

  test('D9: with no connection left on the server, who needs a new one is told to come again, and all goes on afterwards', async () => {
    const { rows } = await (await connect()).query(
      `SELECT setting::int AS max FROM pg_settings WHERE name = 'max_connections'`,
    );
    let refused = false;
    for (let n = 0; n < rows[0].max && !refused; n += 1)
      await connect().catch(() => {
        refused = true;
      });
    expect(refused).toBe(true);
    // The connections that the API has go on serving.
    const replies = await Promise.all(Array.from({ length: 20 }, () => order()));
    for (const { status, headers } of replies)
      if (status !== 202) expect([status, headers.get('retry-after')]).toEqual([503, expect.any(String)]);
    expect(replies.some(({ status }) => status === 202)).toBe(true);
    for (const client of open.splice(0)) await client.end();
    await healed();
  });

  // Invariant L1, L3.
  test('D5: a server that dies without a word loses nothing that was acknowledged, and the feed goes on', async () => {
    const acknowledged: string[] = [];
    let stop = false;
    const writers = Array.from({ length: 8 }, async () => {
      while (!stop) {
        const reply = await order().catch(() => undefined);
        if (reply?.status === 202) acknowledged.push(reply.name);
        else await new Promise((resolve) => setTimeout(resolve, 20));
      }
    });
    await until('many are in flight', () => acknowledged.length > 40);
    await server.kill();
    await new Promise((resolve) => setTimeout(resolve, 300));
    await server.restart();
    const before = acknowledged.length;
    await until('orders are taken again', () => acknowledged.length > before + 10, 60_000);
    stop = true;
    await Promise.all(writers);
    for (const name of acknowledged) await arrives(name, 60_000);
  });
});
