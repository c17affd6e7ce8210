import { type PostgresServer, startPostgres } from '@felucca/dev/postgres';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { migrate } from '../src/db/migrate.ts';
import { assertConfined, openDatabase } from '../src/db/pool.ts';
import { APP_ROLE, FEED_ROLE, urlAs } from '../src/db/role-passwords.ts';

let server: PostgresServer;
let url: string;
let admin: pg.Client;
beforeAll(async () => {
  server = await startPostgres({ name: 'pool' });
  url = await server.createDatabase('pool');
  await migrate({ url, rolePasswords: { [APP_ROLE]: 'a', [FEED_ROLE]: 'f' } });
  admin = new pg.Client({ connectionString: url });
  await admin.connect();
});
afterAll(async () => {
  await admin?.end();
  await server?.stop();
});

const open = (appUrl: string, feedUrl: string) => openDatabase({ appUrl, feedUrl, onError: () => undefined });
const asApp = () => urlAs(url, APP_ROLE, 'a');
const asFeed = () => urlAs(url, FEED_ROLE, 'f');

test('every connection bounds statements, locks and idle transactions, also outside a transaction', async () => {
  const db = open(asApp(), asFeed());
  for (const pool of [db.app, db.feed]) {
    const { rows } = await pool.query(
      `SELECT name, setting::int AS ms FROM pg_settings
        WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout') ORDER BY name`,
    );
    expect(rows).toEqual([
      { name: 'idle_in_transaction_session_timeout', ms: 15_000 },
      { name: 'lock_timeout', ms: 5_000 },
      { name: 'statement_timeout', ms: 10_000 },
    ]);
  }
  await db.close();
});

describe('a role that row-level security would not hold is refused with what is wrong and what to do', () => {
  const confined = async (appUrl: string, feedUrl = asFeed()): Promise<void> => {
    const db = open(appUrl, feedUrl);
    await assertConfined(db).finally(() => db.close());
  };
  /** A login role that row-level security holds but for what `rights` add to it. */
  const roleWith = async (name: string, ...rights: string[]): Promise<string> => {
    await admin.query(`CREATE ROLE ${name} LOGIN NOINHERIT PASSWORD 'p'; GRANT ${APP_ROLE} TO ${name}`);
    for (const right of rights) await admin.query(right);
    return urlAs(url, name, 'p');
  };

  test('not the roles that are made for it', async () => {
    await confined(asApp());
    await confined(await roleWith('member'));
  });

  test('a superuser', async () => {
    await expect(confined(url)).rejects.toThrow(/"postgres" is a superuser.*felucca_app/);
  });

  test('one that may become a role with BYPASSRLS, though it inherits nothing', async () => {
    const sneaky = await roleWith('sneaky', 'CREATE ROLE seer BYPASSRLS', 'GRANT seer TO sneaky');
    await expect(confined(sneaky)).rejects.toThrow(/"sneaky" may become the BYPASSRLS role "seer"/);
  });

  test('one that may become the owner of a table, though it inherits nothing', async () => {
    const heir = await roleWith('heir', 'GRANT felucca_owner TO heir');
    await expect(confined(heir)).rejects.toThrow(/"heir" owns \w+, or may become its owner/);
    await expect(confined(asApp(), heir)).rejects.toThrow(/"heir" owns/);
  });

  test('the role of the feed in the place of the tenants’', async () => {
    await expect(confined(asFeed())).rejects.toThrow(/"felucca_feed" sees the rows of all tenants in \w+/);
  });
});
