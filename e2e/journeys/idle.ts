import { setTimeout as delay } from 'node:timers/promises';
import type { Stack } from '@felucca/dev/stack';
import pg from 'pg';
import { expect, test } from 'vitest';
import { eventually } from './api-client.ts';
import { Actor } from './stack.ts';

const QUIET_MS = 15_000;
/** Not Leases: whoever leads renews its own, which is what a Lease is for. */
const WATCHED =
  'dataplanes,tenants,blueprints,instances,deployments,statefulsets,services,configmaps,secrets,serviceaccounts,networkpolicies,resourcequotas,events';

/** When nobody wants anything, nothing is written anywhere. */
export function idleJourney(stack: () => Stack): void {
  test('an idle stack writes nothing to Kubernetes and next to nothing to Postgres', async () => {
    const acme = await Actor.join(stack(), 'idle');
    await acme.order('site', { message: 'x', replicas: 1 });
    await acme.ready('site');
    const versions = () =>
      acme.kubectl(
        ...['get', WATCHED, '-A', '-o'],
        'jsonpath={range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name}={.metadata.resourceVersion}{"\\n"}{end}',
      );
    // What earlier journeys left behind may still be settling; quiet has to come by itself.
    await eventually(
      'nothing is written for a while',
      async () => {
        const before = await versions();
        const rowsBefore = await writtenRows(stack().postgres.url);
        await delay(QUIET_MS);
        expect(await versions()).toBe(before);
        // Heads of connected data planes are marked as seen now and then; that is all.
        expect((await writtenRows(stack().postgres.url)) - rowsBefore).toBeLessThanOrEqual(5);
        return true;
      },
      4 * QUIET_MS,
    );
  });
}

async function writtenRows(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ n: string }>(
      'SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) AS n FROM pg_stat_all_tables WHERE schemaname = $1',
      ['felucca'],
    );
    return Number(rows[0]?.n ?? 0);
  } finally {
    await client.end();
  }
}
