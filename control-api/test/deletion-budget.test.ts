import { budgetLimit } from '@felucca/contract';
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ApiProcess } from './support/api-process.ts';
import { startLinkedApi } from './support/linked-api.ts';

// The control plane's own budget: what exceeds it does not reach the feed, and waits for a person of the platform.

let linked: Awaited<ReturnType<typeof startLinkedApi>>;
let api: ApiProcess;
let database: pg.Pool;
const held = '/v1/data-planes/dp/held-deletions';
const instances = '/v1/organizations/acme/instances';

beforeAll(async () => {
  linked = await startLinkedApi('deletion-budget');
  ({ api, database } = linked);
});
afterAll(() => linked?.stop());

interface Ordered {
  id: string;
  name: string;
}
let count = 0;
const orderAs = (name: string) =>
  api.call('POST', instances, {
    ...{ name, dataPlane: 'dp', blueprint: 'tiny', version: '1.0.0', parameters: { text: 'x' } },
  });
async function order(): Promise<Ordered> {
  count += 1;
  const reply = await orderAs(`i-${count}`);
  expect(reply.status).toBe(202);
  return { id: reply.body.id, name: reply.body.name };
}
const dryRunOf = async (name: string) => {
  const order = { name, dataPlane: 'dp', blueprint: 'tiny', version: '1.0.0' };
  const { status, body } = await api.call('POST', `${instances}?dryRun=true`, order);
  return [status, body.detail];
};
const remove = (name: string) => api.call('DELETE', `${instances}/${name}`, undefined, { 'if-match': '*' });
const rows = async (ids: string[]): Promise<{ id: string; deleted: boolean }[]> =>
  (
    await database.query(
      'SELECT id, deleted_at IS NOT NULL AS deleted FROM felucca.desired WHERE id = ANY($1) ORDER BY id',
      [ids],
    )
  ).rows;
const inFeed = async ({ id }: Ordered): Promise<boolean> => (await rows([id]))[0]?.deleted === false;
const list = async () => (await api.call('GET', held)).body.items as Record<string, unknown>[];
const operation = async (id: string) =>
  (await api.call('GET', `/v1/organizations/acme/operations/${id}`)).body;
const released = async (): Promise<{ id: string }[]> =>
  (await database.query("SELECT spec FROM felucca.desired WHERE kind = 'DataPlane'")).rows[0].spec
    .releasedDeletions;

/** Five that go, as a few per window always may, and one that has to wait. */
let one: Ordered;
let answer: Awaited<ReturnType<typeof remove>>;
beforeEach(async () => {
  await database.query('UPDATE felucca.feed_heads SET window_began_at = NULL');
  for (let index = 0; index < 5; index += 1) {
    const before = await order();
    await remove(before.name);
    expect(await inFeed(before)).toBe(false);
  }
  one = await order();
  answer = await remove(one.name);
});

describe('a deletion beyond the budget of the control plane', () => {
  // Invariant L16.
  test('is accepted, does not reach the feed, and is listed with its reason', async () => {
    expect(answer.status).toBe(202);
    expect(answer.body.operation).toMatchObject({
      kind: 'delete',
      state: 'accepted',
      message: expect.stringMatching(
        /^held: 5 of 6 Instances .* within 60 s.* a person of the platform decides$/,
      ),
    });
    expect(await inFeed(one)).toBe(true);
    expect(await list()).toContainEqual(
      expect.objectContaining({
        kind: 'Instance',
        key: `acme/${one.name}`,
        id: one.id,
        generation: 2,
        heldBy: 'control-plane',
        message: expect.stringMatching(/deletion budget of this data plane/),
      }),
    );
  });

  test('keeps its name, its organization and its data plane until somebody has decided', async () => {
    const again = await orderAs(one.name);
    expect([again.status, again.body.code]).toEqual([409, 'NAME_TAKEN']);
    expect(again.body.detail).toMatch(/held-deletions/);
    expect(await dryRunOf(one.name)).toEqual([409, again.body.detail]);
    for (const path of ['/v1/organizations/acme', '/v1/data-planes/dp']) {
      const reply = await api.call('DELETE', path);
      expect([reply.status, reply.body.code]).toEqual([409, 'IN_USE']);
      expect(reply.body.detail).toMatch(/wait.* for a decision; release or reject/);
    }
  });

  // Invariant L17.
  test('that is released goes into the feed behind the permission that the operator needs', async () => {
    const reply = await api.call('POST', `${held}/release`, { ids: [one.id] });
    expect([reply.status, reply.body]).toEqual([202, { released: [one.id] }]);
    expect(await inFeed(one)).toBe(false);
    expect(await list()).not.toContainEqual(expect.objectContaining({ id: one.id }));
    expect(await released()).toContainEqual({ id: one.id, generation: 2 });
    const { rows: sent } = await database.query(
      "SELECT id FROM felucca.desired WHERE kind = 'DataPlane' OR id = $1 ORDER BY rev",
      [one.id],
    );
    expect(sent.at(-1).id).toBe(one.id);
    expect((await operation(answer.body.operation.id)).message).toBe('');
    expect((await orderAs(one.name)).status).toBe(202);
  });

  test('is not sent by a repeated request that permitted an earlier deletion of the same Instance', async () => {
    const release = () =>
      api.call('POST', `${held}/release`, { ids: [one.id] }, { 'idempotency-key': `release-${one.id}` });
    const before = await database.query('SELECT * FROM felucca.held_deletions WHERE id = $1', [one.id]);
    expect((await release()).status).toBe(202);
    await database.query(
      'INSERT INTO felucca.held_deletions SELECT (json_populate_record(NULL::felucca.held_deletions, $1)).*',
      [JSON.stringify({ ...before.rows[0], generation: 4 })],
    );
    expect((await release()).status).toBe(202);
    const left = await database.query('DELETE FROM felucca.held_deletions WHERE id = $1', [one.id]);
    expect(left.rowCount).toBe(1);
  });

  test('keeps its permission until the operator has told its end, however many are released meanwhile', async () => {
    await api.call('POST', `${held}/release`, { ids: [one.id] });
    const other = await order();
    await remove(other.name);
    await api.call('POST', `${held}/release`, { ids: [other.id] });
    expect((await released()).map(({ id }) => id)).toEqual(expect.arrayContaining([one.id, other.id]));
  });

  test('that is rejected leaves everything as it was', async () => {
    const reply = await api.call('POST', `${held}/reject`, { ids: [one.id] });
    expect([reply.status, reply.body]).toEqual([202, { restored: [one.id] }]);
    expect(await inFeed(one)).toBe(true);
    expect(await list()).not.toContainEqual(expect.objectContaining({ id: one.id }));
    expect((await api.call('GET', `${instances}/${one.name}`)).body).toMatchObject({ generation: 3 });
    const audits = await database.query(
      "SELECT object, detail FROM felucca.audit WHERE action = 'deletion.reject'",
    );
    expect(audits.rows).toContainEqual({
      object: `instance/acme/${one.name}`,
      detail: { id: one.id, dataPlane: 'dp' },
    });
  });
});

describe('`felucca admin`', () => {
  const admin = (...args: string[]) =>
    api.admin(args, { FELUCCA_URL: api.url, FELUCCA_KEY: api.platformKey });

  test('lists what is held, where and why, and exits with 1 as long as there is something', () => {
    const { status, said } = admin('held');
    expect(status).toBe(1);
    expect(said).toMatch(
      new RegExp(
        `^dp\tInstance\tacme/${one.name}\t${one.id}\theld by the control-plane\tsince .*within 60 s`,
        'm',
      ),
    );
    expect(said).toMatch(/^dp: \d+ deletions? held; release or reject by id$/m);
  });

  test('releases only when told twice, and rejects', async () => {
    expect(admin('release', 'dp', one.id)).toMatchObject({
      status: 2,
      said: expect.stringMatching(/1 Instance and its data would be deleted on dp\n {2}say --yes/),
    });
    expect(await inFeed(one)).toBe(true);
    expect(admin('reject', 'dp', one.id)).toEqual({ status: 0, said: `restored\t${one.id}\n` });
    expect(await inFeed(one)).toBe(true);
    await remove(one.name);
    expect(admin('release', 'dp', one.id, '--yes')).toEqual({ status: 0, said: `released\t${one.id}\n` });
    expect(await inFeed(one)).toBe(false);
    expect(admin('release', 'dp', one.id, '--yes')).toMatchObject({
      status: 2,
      said: expect.stringMatching(/409 Not among the held deletions, or no longer/),
    });
    expect(admin('release', 'dp', 'abc', '--yes')).toMatchObject({
      status: 2,
      said: expect.stringMatching(
        /: 422 .*\n {2}\/ids\/0 .*uuid[\s\S]*has more under request [0-9a-f-]{36}/i,
      ),
    });
    const away = api.admin(['held'], { FELUCCA_URL: 'http://127.0.0.1:2', FELUCCA_KEY: api.platformKey });
    expect(away.said).toMatch(/http:\/\/127\.0\.0\.1:2 does not answer: .*ECONNREFUSED[\s\S]*FELUCCA_URL/);
    const nonsense = api.admin(['held'], { FELUCCA_URL: 'nonsense', FELUCCA_KEY: api.platformKey });
    expect(nonsense.said).toMatch(/FELUCCA_URL is no URL: nonsense/);
    expect(admin('reject', 'dp')).toMatchObject({
      status: 2,
      said: expect.stringMatching(/nothing is named/),
    });
  });
});

test('the budget is asked under the lock of the counter: of thirty at once not one too many goes', async () => {
  const many: Ordered[] = [];
  for (let index = 0; index < 30; index += 1) many.push(await order());
  await database.query('UPDATE felucca.feed_heads SET window_began_at = NULL');
  const replies = await Promise.all(many.map(({ name }) => remove(name)));
  expect(replies.map(({ status }) => status)).toEqual(many.map(() => 202));
  const after = await rows(many.map(({ id }) => id));
  expect(after.filter(({ deleted }) => deleted)).toHaveLength(5);
  const waiting = replies.filter(({ body }) => body.operation.message.startsWith('held: '));
  expect(waiting).toHaveLength(25);
});

test('what the settings of the data plane say counts: 0 % holds each, another window forgets sooner', async () => {
  const set = (settings: object) => api.call('PATCH', '/v1/data-planes/dp', settings);
  expect((await set({ deletionBudgetPercent: 0 })).body).toEqual({
    deletionBudgetPercent: 0,
    deletionWindowSeconds: 60,
  });
  const first = await order();
  await database.query('UPDATE felucca.feed_heads SET window_began_at = NULL');
  expect((await remove(first.name)).body.operation.message).toMatch(/^held: 0 of /);
  expect((await set({ deletionBudgetPercent: null, deletionWindowSeconds: 1 })).body).toEqual({
    deletionBudgetPercent: 5,
    deletionWindowSeconds: 1,
  });
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  const second = await order();
  expect((await remove(second.name)).body.operation.message).toBe('');
  expect((await api.call('GET', '/v1/data-planes/dp')).body).toMatchObject({
    deletionBudgetPercent: 5,
    deletionWindowSeconds: 1,
  });
  const { rows: sent } = await database.query("SELECT spec FROM felucca.desired WHERE kind = 'DataPlane'");
  expect(sent[0].spec).toMatchObject({ deletionWindowSeconds: 1 });
  expect(sent[0].spec).not.toHaveProperty('deletionBudgetPercent');
  const settings = async () =>
    (await database.query("SELECT rev, generation FROM felucca.desired WHERE kind = 'DataPlane'")).rows;
  const before = await settings();
  expect((await set({ deletionWindowSeconds: 1 })).body).toMatchObject({ deletionWindowSeconds: 1 });
  expect(await settings(), 'what is set already spends no generation and no revision').toEqual(before);
  for (const wrong of [{}, { deletionBudgetPercent: 101 }, { deletionWindowSeconds: 0 }, { budget: 1 }])
    expect((await set(wrong)).status).toBe(422);
});

test('the limit in SQL is the contract’s, and the counter of Instances is what lives', async () => {
  for (const percent of [0, 1, 5, 33, 100])
    for (const lived of [0, 1, 99, 100, 140, 10_001]) {
      const { rows: answers } = await database.query('SELECT felucca.deletion_limit($1, $2) AS most', [
        lived,
        percent,
      ]);
      expect([lived, percent, answers[0].most]).toEqual([lived, percent, budgetLimit(lived, percent)]);
    }
  const { rows: counters } = await database.query(
    `SELECT h.live_instances, (SELECT count(*)::int FROM felucca.desired d
        WHERE d.data_plane_id = h.data_plane_id AND d.kind = 'Instance' AND d.deleted_at IS NULL) AS live FROM felucca.feed_heads h`,
  );
  expect(counters[0].live_instances).toBe(counters[0].live);
});
