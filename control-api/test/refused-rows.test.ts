import type { Condition } from '@felucca/contract';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ApiProcess } from './support/api-process.ts';
import { startLinkedApi } from './support/linked-api.ts';

// Rows that an operator does not apply: listed for the platform, and said by the operations that they concern.

let linked: Awaited<ReturnType<typeof startLinkedApi>>;
let api: ApiProcess;
let database: pg.Pool;
const refused = '/v1/data-planes/dp/refused-rows';
const organization = '/v1/organizations/acme';

beforeAll(async () => {
  linked = await startLinkedApi('refused-rows');
  ({ api, database } = linked);
});
afterAll(() => linked?.stop());

const report = (lists: object) => linked.report(lists);
const order = async (name: string): Promise<{ id: string; operation: { id: string } }> =>
  (
    await api.call('POST', `${organization}/instances`, {
      name,
      dataPlane: 'dp',
      blueprint: 'tiny',
      version: '1.0.0',
    })
  ).body;
const rowOf = async (kind: string, key: string): Promise<{ id: string; rev: string; hash: string }> =>
  (
    await database.query('SELECT id, rev, hash FROM felucca.desired WHERE kind = $1 AND key = $2', [
      kind,
      key,
    ])
  ).rows[0];
async function nackOf(kind: string, key: string) {
  const { id, rev, hash } = await rowOf(kind, key);
  const message = `${kind} ${key} was applied on this cluster by somebody else`;
  return { kind, key, id, rev, hash, code: 'NameConflict', message, retryable: true };
}
const statusOf = (kind: string, key: string, id: string, reason: string) => ({
  kind,
  key,
  id,
  local: false,
  generation: 1,
  digest: '',
  observedSeq: linked.nextSeq(),
  conditions: [
    {
      type: 'Ready',
      status: reason === 'AllChildrenReady' ? 'True' : 'False',
      reason,
      message: 'm',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    } satisfies Condition,
  ],
});
const operation = async (id: string) => (await api.call('GET', `${organization}/operations/${id}`)).body;

const said =
  'Blueprint tiny-1-0-0 is not applied here, NameConflict: Blueprint tiny-1-0-0 was applied on this cluster by somebody else';

describe('a refused row', () => {
  test('is listed with its reason, until it is applied', async () => {
    await order('first');
    expect((await api.call('GET', refused)).body).toEqual({ items: [] });
    const nack = await nackOf('Blueprint', 'tiny-1-0-0');
    await report({ nacks: [nack] });
    const { kind, key, id, rev: revision, code, message, retryable } = nack;
    expect((await api.call('GET', refused)).body.items).toEqual([
      { kind, key, id, revision, code, message, retryable, at: expect.stringMatching(/^20/) },
    ]);
    await report({ status: [statusOf(kind, key, id, 'Valid')] });
    expect((await api.call('GET', refused)).body).toEqual({ items: [] });
  });

  test('of the Blueprint or the Tenant is said by the operation of each order that needs it, also when that ends', async () => {
    const { id, operation: accepted } = await order('db');
    await report({ nacks: [await nackOf('Blueprint', 'tiny-1-0-0')] });
    expect(await operation(accepted.id)).toMatchObject({ state: 'accepted', message: said });
    // Ordered while it is refused already.
    const later = await order('later');
    for (const [instance, to] of [
      [{ key: 'acme/db', id }, accepted.id],
      [{ key: 'acme/later', id: later.id }, later.operation.id],
    ] as const) {
      await report({ status: [statusOf('Instance', instance.key, instance.id, 'ChildrenProgressing')] });
      expect(await operation(to)).toMatchObject({ state: 'applied', message: said });
      await report({ status: [statusOf('Instance', instance.key, instance.id, 'AllChildrenReady')] });
      expect(await operation(to)).toMatchObject({ state: 'ready', message: said });
    }
    const blueprint = await rowOf('Blueprint', 'tiny-1-0-0');
    await report({ status: [statusOf('Blueprint', 'tiny-1-0-0', blueprint.id, 'Valid')] });
    const other = await order('other');
    await report({ nacks: [await nackOf('Tenant', 'acme')] });
    expect((await operation(other.operation.id)).message).toMatch(
      /^Tenant acme is not applied here, NameConflict: /,
    );
  });

  test('refused for good fails its order, whatever that needs is refused in the same report', async () => {
    const { operation: accepted } = await order('unsigned');
    const forGood = { code: 'SignatureInvalid', message: 'no trusted key signed it', retryable: false };
    await report({
      nacks: [
        await nackOf('Blueprint', 'tiny-1-0-0'),
        { ...(await nackOf('Instance', 'acme/unsigned')), ...forGood },
        await nackOf('Tenant', 'acme'),
      ],
    });
    expect(await operation(accepted.id)).toMatchObject({
      state: 'failed',
      message: 'SignatureInvalid: no trusted key signed it',
      endedAt: expect.any(String),
    });
  });

  test('that somebody who cannot sign has made a tombstone of is listed, too', async () => {
    const { id } = await order('spoilt');
    await database.query('UPDATE felucca.desired SET deleted_at = now() WHERE id = $1', [id]);
    const nack = { ...(await nackOf('Instance', 'acme/spoilt')), hash: '', code: 'SignatureInvalid' };
    await report({ nacks: [nack] });
    const { items } = (await api.call('GET', refused)).body;
    expect(items).toContainEqual(expect.objectContaining({ key: 'acme/spoilt', code: 'SignatureInvalid' }));
  });

  test('of the platform is the platform’s business alone', async () => {
    const { key } = (await api.call('POST', `${organization}/api-keys`, { name: 'k' })).body;
    expect((await api.call('GET', refused, undefined, {}, key)).status).toBe(403);
  });
});
