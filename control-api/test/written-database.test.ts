import { digestOf } from '@felucca/contract';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLinkedApi } from './support/linked-api.ts';

type Linked = Awaited<ReturnType<typeof startLinkedApi>>;
let linked: Linked;
beforeAll(async () => {
  linked = await startLinkedApi('written');
  await linked.api.call('POST', '/v1/organizations/acme/instances', {
    name: 'site',
    dataPlane: 'dp',
    blueprint: 'tiny',
    version: '1.0.0',
  });
});
afterAll(() => linked?.stop());

const sql = async (text: string, values: unknown[] = []) => (await linked.database.query(text, values)).rows;
const desired = async (key: string) => (await sql('SELECT * FROM felucca.desired WHERE key = $1', [key]))[0];

/** As if an operator had refused the row and told of a newer one: a report has the same order signed above it. */
async function tellAhead(key: string, generation: number): Promise<void> {
  await sql('DELETE FROM felucca.unknown_objects');
  await sql('UPDATE felucca.feed_heads SET epoch_base = 0');
  await sql(
    `INSERT INTO felucca.unknown_objects (tenant_id, data_plane_id, kind, key, id, generation, epoch)
     SELECT d.tenant_id, d.data_plane_id, d.kind, d.key, d.id, $2, h.epoch
       FROM felucca.desired d JOIN felucca.feed_heads h USING (data_plane_id) WHERE d.key = $1`,
    [key, generation],
  );
}

/** With an object that nobody knows, so that the others are looked through. */
const report = async (): Promise<void> => {
  const unknown = [{ kind: 'Tenant', key: 'nobody', id: '00000000-0000-7000-8000-000000000000' }];
  expect((await linked.report({ unknown })).status).toBe(200);
};

describe('somebody who can write to the database', () => {
  const parameters = { text: 'theirs', count: 1, zone: 'a' };
  const theirKeys = { signingKeys: [{ kid: 'theirs', publicKey: 'A'.repeat(43) }] };

  test('has the order as it was signed sent above what the cluster is said to hold, and nothing else', async () => {
    const before = await desired('acme/site');
    await tellAhead('acme/site', 10);
    await report();
    const lifted = await desired('acme/site');
    expect(lifted).toMatchObject({ generation: '11', hash: before.hash });

    await sql('UPDATE felucca.instances SET parameters = $1', [parameters]);
    await tellAhead('acme/site', 20);
    await report();
    expect(await desired('acme/site')).toEqual(lifted);

    // With the row as they want it in the feed, too: that one was never signed.
    const spec = { ...lifted.spec, parameters };
    await sql("UPDATE felucca.desired SET spec = $1, hash = $2 WHERE key = 'acme/site'", [
      spec,
      digestOf(spec),
    ]);
    await report();
    expect(await desired('acme/site')).toMatchObject({ generation: '11', sig: lifted.sig });
  });

  test('gets no signature for a signing key of their own', async () => {
    const before = await desired('default');
    await sql('UPDATE felucca.data_planes SET spec = $1', [theirKeys]);
    await tellAhead('default', 10);
    await report();
    expect(await desired('default')).toEqual(before);

    await sql("UPDATE felucca.desired SET spec = $1, hash = $2 WHERE key = 'default'", [
      theirKeys,
      digestOf(theirKeys),
    ]);
    await report();
    expect(await desired('default')).toMatchObject({ generation: before.generation, sig: before.sig });

    // Nor with the next change of the settings.
    const changed = await linked.api.call('PATCH', '/v1/data-planes/dp', { deletionBudgetPercent: 40 });
    expect(changed.status).toBe(200);
    const { spec, generation } = await desired('default');
    expect({ spec, generation }).toEqual({ spec: { deletionBudgetPercent: 40 }, generation: '11' });
  });
});
