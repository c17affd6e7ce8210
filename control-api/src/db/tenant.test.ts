import type { Pool } from 'pg';
import { expect, test } from 'vitest';
import { type Database, PLATFORM_TENANT, withTenant } from './tenant.ts';

/** No Postgres refuses BEGIN on a connection that works, and a write that went ahead of a refusal would stay. */
function connectionThatCannotBegin() {
  const sent: string[] = [];
  const client = {
    connection: { stream: { writableCorked: 1 } },
    query: async (statement: string | { text: string }) => {
      const text = typeof statement === 'string' ? statement : statement.text;
      sent.push(text);
      if (text.startsWith('BEGIN')) throw new Error('no transaction today');
      return { rows: [], rowCount: 0, command: text };
    },
    release: () => {},
  };
  const app = { connect: async () => client } as unknown as Pool;
  return { db: { app } as Database, sent };
}

const BEGIN = `BEGIN; SET LOCAL app.tenant_id = '${PLATFORM_TENANT}'`;

test('what writes waits until its transaction has begun', async () => {
  const { db, sent } = connectionThatCannotBegin();
  const work = withTenant(db, PLATFORM_TENANT, (tx) => tx.query({ text: 'INSERT' }));
  await expect(work).rejects.toThrow('no transaction today');
  expect(sent).toEqual([BEGIN, 'ROLLBACK']);
});

test('what only reads goes along', async () => {
  const { db, sent } = connectionThatCannotBegin();
  const work = withTenant(db, PLATFORM_TENANT, (tx) => tx.query({ text: 'SELECT', isRead: true }));
  await expect(work).rejects.toThrow('no transaction today');
  expect(sent).toEqual([BEGIN, 'SELECT', 'ROLLBACK']);
});
