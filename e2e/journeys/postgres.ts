import type { Stack } from '@felucca/dev/stack';
import pg from 'pg';
import { expect, test } from 'vitest';
import { eventually } from './api-client.ts';
import { Actor, needsContainers } from './stack.ts';

/** The product somebody would sell: ordered, used through its Service, resized, kept across suspend. */
export function postgresJourney(stack: () => Stack): void {
  test('an ordered Postgres answers queries, and its data survives suspend and resume', async ({ skip }) => {
    needsContainers(stack(), skip, 'simulated nodes run no Postgres');
    const acme = await Actor.join(stack(), 'dbco');
    await acme.order('main', { version: '18', size: 'small', storageGi: 1 }, 'postgres');
    const observed = await acme.ready('main', 240_000);
    expect(observed.outputs.password.value).toBeUndefined();
    const { name, key } = observed.outputs.password.secretRef;
    const secret = await acme.object('secret', name);
    const password = Buffer.from(secret?.data[key], 'base64').toString();
    expect(JSON.stringify(observed)).not.toContain(password);

    const query = async (sql: string) => {
      const client = new pg.Client({
        host: (await acme.object('service', observed.outputs.service?.value ?? 'main-service'))?.spec
          .clusterIP,
        port: Number(observed.outputs.port.value),
        user: observed.outputs.username.value,
        database: observed.outputs.database.value,
        password,
        connectionTimeoutMillis: 5_000,
      });
      try {
        await client.connect();
        return (await client.query(sql)).rows;
      } finally {
        await client.end();
      }
    };
    await query('CREATE TABLE kept (n int)');
    await query('INSERT INTO kept VALUES (42)');

    await acme.patch('main', { suspend: true });
    await eventually(
      'it is suspended',
      async () => (await acme.condition('main', 'Ready'))?.reason === 'Suspended',
      120_000,
    );
    await acme.patch('main', { suspend: false });
    await acme.ready('main', 240_000);
    expect(
      await eventually('data is back', () => query('SELECT n FROM kept').catch(() => undefined)),
    ).toEqual([{ n: 42 }]);
  });
}
