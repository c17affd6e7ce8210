import { createPublicKey, verify } from 'node:crypto';
import { signedBytes } from '@felucca/contract';
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { compactTombstones } from '../src/feed/compaction.ts';
import type { TestOperator } from './link-stage.ts';
import type { ApiProcess } from './support/api-process.ts';
import { startLinkedApi } from './support/linked-api.ts';

// Deletions that an operator holds: listed, released and rejected by people of the platform.

let linked: Awaited<ReturnType<typeof startLinkedApi>>;
let api: ApiProcess;
let database: pg.Pool;
let operator: TestOperator;
const held = '/v1/data-planes/dp/held-deletions';
const instances = '/v1/organizations/acme/instances';

beforeAll(async () => {
  linked = await startLinkedApi('held-deletions');
  ({ api, database, operator } = linked);
  // Only the operator's budget is of interest here.
  await database.query(`UPDATE felucca.data_planes SET spec = '{"deletionBudgetPercent": 100}'`);
});
afterAll(() => linked?.stop());

interface Row {
  id: string;
  key: string;
  rev: string;
}
const rowOf = async (
  id: string,
): Promise<Row & { hash: string; generation: string; deleted_at: Date | null }> =>
  (await database.query('SELECT * FROM felucca.desired WHERE id = $1', [id])).rows[0];
const report = (lists: object) => linked.report(lists);
const head = async (): Promise<string> =>
  (await database.query('SELECT head::text FROM felucca.feed_heads')).rows[0].head;
const acknowledge = async () => report({ ack: { cursor: await head(), digest: '' } });

/** Ordered, deleted, and held by the operator, which has seen everything. */
async function hold(name: string): Promise<Row> {
  const order = { name, dataPlane: 'dp', blueprint: 'tiny', version: '1.0.0', parameters: { text: name } };
  const { body } = await api.call('POST', instances, order);
  await api.call('DELETE', `${instances}/${name}`, undefined, { 'if-match': '*' });
  const row = await rowOf(body.id);
  const nack = { kind: 'Instance', key: row.key, rev: row.rev, hash: '', code: 'MASS_DELETE_HELD' };
  await report({ nacks: [{ ...nack, message: 'exceeds the budget', retryable: true }] });
  await acknowledge();
  return row;
}
const list = async (): Promise<string[]> =>
  (await api.call('GET', held)).body.items.map((item: Row) => item.id);
/** As the operator tells it after it has deleted the object. */
const gone = ({ id, key }: Row) =>
  report({
    status: [
      {
        kind: 'Instance',
        key,
        id,
        local: false,
        generation: 2,
        digest: '',
        observedSeq: linked.nextSeq(),
        deleted: true,
        conditions: [],
      },
    ],
  });

let count = 0;
let one: Row;
let other: Row;
beforeEach(async () => {
  count += 1;
  one = await hold(`one-${count}`);
  other = await hold(`other-${count}`);
});

describe('held deletions', () => {
  // Invariant L16.
  test('are listed until the object is gone, however often old tombstones are removed', async () => {
    await compactTombstones(database, { retentionMs: 0 });
    const items = (await api.call('GET', held)).body.items;
    expect(items).toContainEqual(
      expect.objectContaining({ kind: 'Instance', key: one.key, id: one.id, generation: 2 }),
    );
    await gone(one);
    expect(await list()).not.toContain(one.id);
    expect(await list()).toContain(other.id);
    await compactTombstones(database, { retentionMs: 0 });
    expect(await rowOf(one.id)).toBeUndefined();
    expect(await rowOf(other.id)).toBeDefined();
  });

  test('are what the next owner of the name is told to wait for', async () => {
    const name = one.key.split('/')[1]!;
    const next = { name, dataPlane: 'dp', blueprint: 'tiny', version: '1.0.0', parameters: { text: 'next' } };
    const { body } = await api.call('POST', instances, next);
    const nack = { kind: 'Instance', key: one.key, rev: one.rev, hash: '', code: 'MASS_DELETE_HELD' };
    await report({ nacks: [{ ...nack, message: 'exceeds the budget', retryable: true }] });
    await acknowledge();
    const { rows } = await database.query(
      'SELECT state, message FROM felucca.operations WHERE instance_id = $1',
      [body.id],
    );
    expect(rows).toEqual([
      {
        state: 'delivered',
        message: expect.stringContaining('waits for the deletion of the Instance that had this name'),
      },
    ]);
  });

  test('are not hidden by what is refused of the next owner, nor forgotten with it', async () => {
    const name = one.key.split('/')[1]!;
    const order = {
      name,
      dataPlane: 'dp',
      blueprint: 'tiny',
      version: '1.0.0',
      parameters: { text: 'next' },
    };
    const { body } = await api.call('POST', instances, order);
    const { id, key, rev, hash } = await rowOf(body.id);
    const nack = {
      kind: 'Instance',
      key,
      id,
      rev,
      hash,
      code: 'SignatureInvalid',
      message: 'm',
      retryable: false,
    };
    await report({ nacks: [nack] });
    await acknowledge();
    const seen = await api.call('GET', `${instances}/${name}/observed`);
    expect(seen.body.refused).toMatchObject({ code: 'SignatureInvalid' });
    await compactTombstones(database, { retentionMs: 0 });
    expect(await list()).toContain(one.id);
    await gone(one);
    expect(await list()).not.toContain(one.id);
  });

  // Invariant L17.
  test('are released by name, in a signed row of the data plane, with an entry in the audit', async () => {
    const headers = { 'idempotency-key': `release-${count}` };
    const reply = await api.call('POST', `${held}/release`, { ids: [one.id] }, headers);
    expect([reply.status, reply.body]).toEqual([202, { released: [one.id] }]);
    const again = await api.call('POST', `${held}/release`, { ids: [one.id] }, headers);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    // Who asks anew for what is permitted changes nothing.
    const generations = async () =>
      (await database.query("SELECT rev, generation FROM felucca.desired WHERE kind = 'DataPlane'")).rows;
    const permitted = await generations();
    expect((await api.call('POST', `${held}/release`, { ids: [one.id] })).status).toBe(202);
    expect(await generations()).toEqual(permitted);
    const { rows } = await database.query("SELECT * FROM felucca.desired WHERE kind = 'DataPlane'");
    const [row] = rows;
    expect(row.spec.releasedDeletions).toContainEqual({ id: one.id, generation: 2 });
    expect(JSON.stringify(row.spec)).not.toContain(other.id);
    const x = operator.identity?.signingKeys[row.kid] ?? '';
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    const bytes = signedBytes({
      dataPlaneId: operator.dataPlaneId,
      kind: 'DataPlane',
      key: row.key,
      id: row.id,
      generation: Number(row.generation),
      hash: row.hash,
      deleted: false,
    });
    expect(verify(null, bytes, key, Buffer.from(row.sig, 'base64url'))).toBe(true);
    const audit = await database.query("SELECT object FROM felucca.audit WHERE action = 'deletion.release'");
    expect(audit.rows).toContainEqual({ object: `instance/${one.key}` });
  });

  test('of an earlier release need no permission any more once they are gone', async () => {
    await api.call('POST', `${held}/release`, { ids: [one.id] });
    await gone(one);
    await api.call('POST', `${held}/release`, { ids: [other.id] });
    const { rows } = await database.query("SELECT spec FROM felucca.desired WHERE kind = 'DataPlane'");
    expect(rows[0].spec.releasedDeletions).not.toContainEqual(expect.objectContaining({ id: one.id }));
    expect(rows[0].spec.releasedDeletions).toContainEqual({ id: other.id, generation: 2 });
  });

  test('that are rejected bring their Instance back as it was, and are held no more', async () => {
    const name = one.key.split('/')[1];
    expect((await api.call('GET', `${instances}/${name}`)).status).toBe(404);
    const reply = await api.call('POST', `${held}/reject`, { ids: [one.id] });
    expect([reply.status, reply.body]).toEqual([202, { restored: [one.id] }]);
    expect((await api.call('GET', `${instances}/${name}`)).body).toMatchObject({
      id: one.id,
      generation: 3,
      parameters: { text: name },
    });
    expect(await rowOf(one.id)).toMatchObject({ generation: '3', deleted_at: null });
    expect(await list()).toEqual(expect.not.arrayContaining([one.id]));
    const { rows } = await database.query(
      "SELECT detail->>'deletionRejected' AS rejected FROM felucca.audit WHERE object = $1 ORDER BY id DESC LIMIT 1",
      [`instance/${name}`],
    );
    expect(rows).toEqual([{ rejected: 'true' }]);
  });

  test('that are not held, or whose name is taken, are refused, and nothing is done', async () => {
    const stranger = '00000000-0000-7000-8000-000000000000';
    for (const verb of ['release', 'reject']) {
      const reply = await api.call('POST', `${held}/${verb}`, { ids: [one.id, stranger] });
      expect([reply.status, reply.body.errors[0].pointer]).toEqual([409, '/ids/1']);
    }
    expect(await rowOf(one.id)).toMatchObject({ generation: '2' });
    const name = one.key.split('/')[1];
    await api.call('POST', instances, { name, dataPlane: 'dp', blueprint: 'tiny', version: '1.0.0' });
    const taken = await api.call('POST', `${held}/reject`, { ids: [one.id] });
    expect([taken.status, taken.body.code]).toEqual([409, 'NAME_TAKEN']);
  });

  test('are the platform’s business alone', async () => {
    const key = (await api.call('POST', '/v1/organizations/acme/api-keys', { name: 'k' })).body.key;
    for (const [method, path] of [
      ['GET', held],
      ['POST', `${held}/release`],
      ['POST', `${held}/reject`],
    ] as const) {
      const body = method === 'POST' ? { ids: [one.id] } : undefined;
      expect((await api.call(method, path, body, {}, key)).status).toBe(403);
    }
  });
});
