import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from './link-stage.ts';
import { startLinkedApi } from './support/linked-api.ts';

type Linked = Awaited<ReturnType<typeof startLinkedApi>>;
let linked: Linked;
beforeAll(async () => {
  linked = await startLinkedApi('unknown');
});
afterAll(() => linked?.stop());

const INSTANCES = '/v1/organizations/acme/instances';
const UNKNOWN = '/v1/data-planes/dp/unknown-objects';
const HELD_DELETIONS = '/v1/data-planes/dp/held-deletions';
const call = (...args: Parameters<Linked['api']['call']>) => linked.api.call(...args);
const listed = async () => (await call('GET', UNKNOWN)).body.items;
const sql = (text: string, values: unknown[] = []) => linked.database.query(text, values);
const any = { 'if-match': '*' };

/** Ordered, changed to `generation`, and told as an operator tells what it holds. */
async function held(name: string, generation = 1) {
  const { body } = await call('POST', INSTANCES, {
    name,
    dataPlane: 'dp',
    blueprint: 'tiny',
    version: '1.0.0',
  });
  for (let count = 2; count <= generation; count += 1)
    await call('PATCH', `${INSTANCES}/${name}`, { parameters: { text: `t${count}` } }, any);
  return object('Instance', body.id as string);
}
async function object(kind: string, id: string) {
  const { rows } = await sql(
    'SELECT kind, key, id, generation::int, hash, kid, sig, spec FROM felucca.desired WHERE kind = $1 AND id = $2',
    [kind, id],
  );
  return rows[0];
}

/** As an older backup has it: nothing of the Instance, or generation `to` of it. */
async function goBack(id: string, to = 0): Promise<void> {
  await sql('DELETE FROM felucca.operations WHERE instance_id = $1', [id]);
  if (to === 0) {
    await sql('DELETE FROM felucca.instances WHERE id = $1', [id]);
    await sql('DELETE FROM felucca.desired WHERE id = $1', [id]);
  } else {
    await sql('UPDATE felucca.instances SET generation = $2 WHERE id = $1', [id, to]);
    await sql('UPDATE felucca.desired SET generation = $2 WHERE id = $1', [id, to]);
  }
  await sql('UPDATE felucca.feed_heads SET epoch_base = head');
}

const row = async (id: string) =>
  (
    await sql('SELECT generation::int, deleted_at, hash, kid, sig, spec FROM felucca.desired WHERE id = $1', [
      id,
    ])
  ).rows[0];

// Invariant L13, L39.
test('what a data plane holds is listed with what it is, and adopted as it was signed', async () => {
  const lost = await held('lost', 3);
  await goBack(lost.id);
  await linked.report({ unknown: [lost] });
  expect(await listed()).toMatchObject([
    {
      kind: 'Instance',
      key: 'acme/lost',
      id: lost.id,
      organization: 'acme',
      difference: 'unknown',
      generation: 3,
      adoptable: true,
      spec: { parameters: { text: 't3' } },
      since: expect.any(String),
    },
  ]);
  const answer = await call('POST', `${UNKNOWN}/adopt`, { ids: [lost.id] });
  expect(answer.body).toMatchObject({ adopted: [{ key: 'acme/lost', id: lost.id }], refused: [], left: 0 });
  expect(await row(lost.id)).toMatchObject({
    generation: 3,
    hash: lost.hash,
    sig: lost.sig,
    spec: lost.spec,
  });
  const { body: adopted } = await call('GET', `${INSTANCES}/lost`);
  // Of its order, which its id tells.
  const ordered = new Date(Number.parseInt(lost.id.replaceAll('-', '').slice(0, 12), 16)).toISOString();
  expect(adopted).toMatchObject({ id: lost.id, generation: 3, createdAt: ordered });
  expect(await listed()).toEqual([]);
  const audit = await sql(`SELECT detail FROM felucca.audit WHERE action = 'instance.adopt'`);
  expect(audit.rows).toMatchObject([{ detail: { id: lost.id, dataPlane: 'dp', generation: 3 } }]);
  expect((await call('POST', `${UNKNOWN}/adopt`, { ids: [lost.id] })).status).toBe(409);
});

// Invariant L39.
test('a row that only the feed has lost is written again as it was signed', async () => {
  const beside = await held('beside', 2);
  await sql('DELETE FROM felucca.desired WHERE id = $1', [beside.id]);
  await linked.report({ unknown: [beside] });
  expect(await listed()).toMatchObject([{ id: beside.id, difference: 'unknown', adoptable: true }]);
  const { body } = await call('POST', `${UNKNOWN}/adopt`, { ids: [beside.id] });
  expect(body).toMatchObject({ adopted: [{ id: beside.id }], refused: [], left: 0 });
  expect(await row(beside.id)).toMatchObject({ generation: 2, hash: beside.hash, sig: beside.sig });
  expect((await call('GET', `${INSTANCES}/beside`)).body).toMatchObject({ id: beside.id, generation: 2 });
  expect(await listed()).toEqual([]);
});

// Invariant L39.
test('a data plane gives back only what was signed for it, this name and this id', async () => {
  const real = await held('real', 2);
  await goBack(real.id);
  const forged = [
    { ...real, generation: 9_000_000_000 },
    { ...real, id: '01900000-0000-7000-8000-000000000001', key: 'acme/made-up' },
    { ...real, key: 'acme/other-name' },
    { ...real, hash: `sha256:${'0'.repeat(64)}`, key: 'acme/other-hash' },
  ];
  await linked.report({ unknown: forged });
  for (const item of await listed()) expect(item).toMatchObject({ adoptable: false });
  const { body } = await call('POST', `${UNKNOWN}/adopt`, { all: true });
  expect(body).toMatchObject({ adopted: [], left: forged.length });
  for (const { message } of body.refused)
    expect(message).toMatch(/not signed with a key that this control plane has/);
  // A spec that is not the signed one is not believed, the rest is.
  await linked.report({ unknown: [{ ...real, spec: { ...real.spec, suspend: true } }] });
  const item = (await listed()).find((one: { key: string }) => one.key === real.key);
  expect(item).toMatchObject({ generation: 2, adoptable: false });
  expect(item.spec).toBeUndefined();
  await sql('DELETE FROM felucca.unknown_objects');
});

test('an Instance is adopted after its Tenant and Blueprint, and says so until then', async () => {
  await call('POST', '/v1/organizations', { name: 'beta' });
  await call('POST', '/v1/blueprints', {
    ...(await call('GET', '/v1/blueprints/tiny/1.0.0')).body.spec,
    name: 'gone',
  });
  const order = { name: 'db', dataPlane: 'dp', blueprint: 'gone', version: '1.0.0' };
  const { body: db } = await call('POST', '/v1/organizations/beta/instances', order);
  const { rows } = await sql(
    `SELECT kind, key, id, generation::int, hash, kid, sig, spec FROM felucca.desired
      WHERE id = $1 OR key IN ('beta', 'gone-1-0-0')`,
    [db.id],
  );
  await goBack(db.id);
  await sql(`DELETE FROM felucca.desired WHERE key IN ('beta', 'gone-1-0-0')`);
  await sql(`DELETE FROM felucca.organizations WHERE name = 'beta'`);
  await sql(`DELETE FROM felucca.blueprints WHERE name = 'gone'`);
  await linked.report({ unknown: rows });
  const alone = await call('POST', `${UNKNOWN}/adopt`, { ids: [db.id] });
  expect(alone.body.refused).toMatchObject([
    { id: db.id, message: expect.stringMatching(/adopt its Tenant first/) },
  ]);
  const tenant = rows.find((one) => one.kind === 'Tenant');
  await call('POST', `${UNKNOWN}/adopt`, { ids: [tenant.id] });
  const again = await call('POST', `${UNKNOWN}/adopt`, { ids: [db.id] });
  expect(again.body.refused[0].message).toMatch(/needs Blueprint gone 1.0.0, which is not published here/);
  const all = await call('POST', `${UNKNOWN}/adopt`, { all: true });
  expect(all.body).toMatchObject({
    adopted: [{ kind: 'Blueprint' }, { kind: 'Instance' }],
    refused: [],
    left: 0,
  });
  expect((await call('GET', '/v1/organizations/beta/instances/db')).body.id).toBe(db.id);
});

test('an Instance goes to no other organization that has the name by now', async () => {
  await call('POST', '/v1/organizations', { name: 'gamma' });
  const order = { name: 'db', dataPlane: 'dp', blueprint: 'tiny', version: '1.0.0' };
  const { body: db } = await call('POST', '/v1/organizations/gamma/instances', order);
  const lost = await object('Instance', db.id);
  await goBack(db.id);
  await sql(`DELETE FROM felucca.desired WHERE key = 'gamma'`);
  await sql(`DELETE FROM felucca.organizations WHERE name = 'gamma'`);
  await call('POST', '/v1/organizations', { name: 'gamma' });
  await linked.report({ unknown: [lost] });
  const { body } = await call('POST', `${UNKNOWN}/adopt`, { all: true });
  expect(body.refused).toMatchObject([{ message: expect.stringMatching(/older than organization "gamma"/) }]);
  await sql('DELETE FROM felucca.unknown_objects');
});

test('whoever adopts under a name that was given anew hears what can be done about it', async () => {
  const lost = await held('twice');
  const ended = await held('ended', 2);
  await goBack(lost.id);
  await goBack(ended.id, 1);
  await sql('UPDATE felucca.instances SET deleted_at = now() WHERE id = $1', [ended.id]);
  await sql(`UPDATE felucca.desired SET deleted_at = now(), spec = NULL, hash = '' WHERE id = $1`, [
    ended.id,
  ]);
  await linked.report({ unknown: [lost, ended] });
  for (const name of ['twice', 'ended']) await held(name);
  const { body } = await call('POST', `${UNKNOWN}/adopt`, { ids: [lost.id, ended.id] });
  expect(body.refused).toMatchObject(
    ['ended', 'twice'].map((name) => ({
      code: 'NAME_TAKEN',
      message: `There is another Instance "${name}" by now; delete that one first, or remove this object.`,
    })),
  );
  await sql('DELETE FROM felucca.unknown_objects');
});

// Invariant L14.
test('the other decision is a tombstone that names the id, and it is listed until the operator tells the end', async () => {
  const orphan = await held('orphan', 4);
  await goBack(orphan.id);
  await linked.report({ unknown: [orphan] });
  expect((await call('POST', `${UNKNOWN}/remove`, { ids: [orphan.id] })).body).toMatchObject({
    removing: [{ id: orphan.id }],
    refused: [],
  });
  expect(await row(orphan.id)).toMatchObject({ generation: 5, deleted_at: expect.any(Date), spec: null });
  expect(await listed()).toMatchObject([{ difference: 'removing', adoptable: false }]);
  expect((await call('POST', `${UNKNOWN}/adopt`, { all: true })).body).toMatchObject({
    adopted: [],
    left: 0,
  });
  const { kind, key, id } = orphan;
  const end = {
    kind,
    key,
    id,
    local: false,
    generation: 5,
    digest: '',
    observedSeq: 1,
    deleted: true,
    conditions: [],
  };
  await linked.report({ status: [end] });
  expect(await listed()).toEqual([]);
});

// Invariant L39.
test('a removal that is held and rejected is an adoption, above the tombstone', async () => {
  const kept = await held('kept', 4);
  await goBack(kept.id);
  await linked.report({ unknown: [kept] });
  await call('POST', `${UNKNOWN}/remove`, { ids: [kept.id] });
  const [tombstone] = (await sql('SELECT rev::text FROM felucca.desired WHERE id = $1', [kept.id])).rows;
  const reject = () => call('POST', `${HELD_DELETIONS}/reject`, { ids: [kept.id] });
  expect((await reject()).body.detail).toMatch(/Not among the held deletions/);
  const adoption = await call('POST', `${UNKNOWN}/adopt`, { ids: [kept.id] });
  expect(adoption.body.refused[0].message).toMatch(/unless its removal is held: then reject that/);
  const nack = { kind: 'Instance', key: kept.key, rev: tombstone.rev, hash: '', code: 'MASS_DELETE_HELD' };
  await linked.report({ nacks: [{ ...nack, message: 'exceeds the budget', retryable: true }] });
  expect((await reject()).body).toEqual({ restored: [kept.id] });
  expect(await row(kept.id)).toMatchObject({
    generation: 6,
    deleted_at: null,
    hash: kept.hash,
    spec: kept.spec,
  });
  expect((await call('GET', `${INSTANCES}/kept`)).body).toMatchObject({
    id: kept.id,
    generation: 6,
    parameters: { text: 't4' },
  });
  expect(await listed()).toEqual([]);
  expect((await call('GET', HELD_DELETIONS)).body.items).toEqual([]);
});

test('what somebody deleted in the cluster is listed no longer', async () => {
  const gone = await held('gone');
  await goBack(gone.id);
  await linked.report({ unknown: [gone] });
  expect(await listed()).toHaveLength(1);
  const { kind, key, id } = gone;
  const end = {
    kind,
    key,
    id,
    local: false,
    generation: 1,
    digest: '',
    observedSeq: 1,
    deleted: true,
    conditions: [],
  };
  const { body } = await linked.report({ status: [end] });
  expect(body['rejected']).toEqual([]);
  expect(await listed()).toEqual([]);
});

// Invariant L40.
test('a cluster that is ahead is adopted, or the next order goes above it', async () => {
  const ahead = await held('ahead', 6);
  const changed = await held('changed', 6);
  for (const { id } of [ahead, changed]) await goBack(id, 2);
  await linked.report({ unknown: [ahead, changed] });
  expect(await listed()).toMatchObject([
    { key: 'acme/ahead', difference: 'ahead', generation: 6, databaseGeneration: 2 },
    { key: 'acme/changed', difference: 'ahead', generation: 6, databaseGeneration: 2 },
  ]);
  expect((await call('POST', `${UNKNOWN}/adopt`, { ids: [ahead.id] })).body.refused).toEqual([]);
  expect(await row(ahead.id)).toMatchObject({ generation: 6, hash: ahead.hash });
  const next = await call('PATCH', `${INSTANCES}/changed`, { parameters: { text: 'next' } }, any);
  expect(next.body).toMatchObject({ generation: 7, operation: { state: 'accepted' } });
  expect(await row(changed.id)).toMatchObject({ generation: 7 });
  expect(await listed()).toEqual([]);
});

// Invariant L40.
test('saying again what the database has is an order when the cluster is ahead of it', async () => {
  const same = await held('same', 3);
  await goBack(same.id, 1);
  const patch = () => call('PATCH', `${INSTANCES}/same`, { parameters: { text: 't3' } }, any);
  expect((await patch()).status).toBe(200);
  await linked.report({ unknown: [same] });
  expect((await patch()).body).toMatchObject({ generation: 4 });
  expect((await patch()).status).toBe(200);
});

// Invariant L40.
test('an order that came before the cluster had told its generation goes out again above it', async () => {
  const early = await held('early', 5);
  const doomed = await held('doomed', 5);
  for (const { id } of [early, doomed]) await goBack(id, 1);
  const order = await call('PATCH', `${INSTANCES}/early`, { parameters: { text: 'early' } }, any);
  const end = await call('DELETE', `${INSTANCES}/doomed`, undefined, any);
  expect([order.body.generation, end.body.generation]).toEqual([2, 2]);
  const { rev, hash } = (await sql('SELECT rev::text, hash FROM felucca.desired WHERE id = $1', [early.id]))
    .rows[0];
  const nack = {
    kind: 'Instance',
    key: early.key,
    rev,
    hash,
    code: 'GenerationRegressed',
    message: 'm',
    retryable: false,
  };
  await linked.report({ nacks: [nack], unknown: [early, doomed] });
  expect(await row(early.id)).toMatchObject({ generation: 6, spec: { parameters: { text: 'early' } } });
  expect(await row(doomed.id)).toMatchObject({ generation: 6, deleted_at: expect.any(Date) });
  const operation = `/v1/organizations/acme/operations/${order.body.operation.id}`;
  expect((await call('GET', operation)).body).toMatchObject({ state: 'accepted', message: '' });
});

// Invariant L40.
test('a deletion that was taken back after the backup is adopted as it runs', async () => {
  const back = await held('back', 5);
  await goBack(back.id, 3);
  await sql('UPDATE felucca.instances SET deleted_at = now() WHERE id = $1', [back.id]);
  await sql(`UPDATE felucca.desired SET deleted_at = now(), spec = NULL, hash = '' WHERE id = $1`, [back.id]);
  await linked.report({ unknown: [back] });
  const item = (await listed()).find((one: { id: string }) => one.id === back.id);
  expect(item).toMatchObject({ difference: 'ended', generation: 5, databaseGeneration: 3 });
  expect((await call('POST', `${UNKNOWN}/adopt`, { all: true })).body.refused).toEqual([]);
  expect((await call('GET', `${INSTANCES}/back`)).body).toMatchObject({ id: back.id, generation: 5 });
});

test('an organization is not deleted while clusters hold what is not known of it', async () => {
  await call('POST', '/v1/organizations', { name: 'delta' });
  const order = { name: 'db', dataPlane: 'dp', blueprint: 'tiny', version: '1.0.0' };
  const { body: db } = await call('POST', '/v1/organizations/delta/instances', order);
  const lost = await object('Instance', db.id);
  await goBack(db.id);
  await linked.report({ unknown: [lost] });
  const refused = await call('DELETE', '/v1/organizations/delta');
  expect(refused).toMatchObject({ status: 409, body: { code: 'IN_USE' } });
  expect(refused.body.detail).toMatch(/adopt or remove/);
  await call('POST', `${UNKNOWN}/remove`, { ids: [db.id] });
});

test('a data plane that the database has lost is created again under its id, once', async () => {
  const id = '01900000-0000-7000-8000-00000000000a';
  expect((await call('POST', '/v1/data-planes', { name: 'again', id })).body).toMatchObject({
    id,
    name: 'again',
  });
  const second = await call('POST', '/v1/data-planes', { name: 'other', id });
  expect(second).toMatchObject({ status: 409, body: { code: 'CONFLICT' } });
});

test('the settings of a data plane go above those of the cluster, too', async () => {
  const { rows } = await sql(
    `SELECT kind, key, id, generation::int, hash, kid, sig, spec FROM felucca.desired WHERE kind = 'DataPlane'`,
  );
  await until('it is ahead', async () => {
    await sql(`UPDATE felucca.desired SET generation = 0 WHERE kind = 'DataPlane'`);
    await sql('UPDATE felucca.data_planes SET generation = 0');
    await linked.report({ unknown: rows });
    return (await listed()).some((one: { kind: string }) => one.kind === 'DataPlane');
  });
  expect((await call('POST', `${UNKNOWN}/adopt`, { ids: [rows[0].id] })).body.refused).toEqual([]);
  expect(await row(rows[0].id)).toMatchObject({ generation: 1 });
});
