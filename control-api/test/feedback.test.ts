import { randomUUID } from 'node:crypto';
import type { Condition, ReportInput, StatusItem } from '@felucca/contract';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { FeedReader, NOTHING } from './feed-client.ts';
import { type ApiProcess, type Stage, startStage, TestOperator, until } from './link-stage.ts';

let stage: Stage;
let api: ApiProcess;
beforeAll(async () => {
  stage = await startStage('feedback');
  api = await stage.startApi();
  await stage.admin.query(
    `INSERT INTO felucca.blueprints (name, version, digest, spec) VALUES ('web', '1.0.0', 'sha256:0', '{}')`,
  );
});
afterAll(() => stage?.stop());

/** A data plane with one Instance of one organization, its operator connected and its next report number. */
let operator: TestOperator;
let reader: FeedReader;
let organization: { id: string; name: string };
let instance: { id: string; key: string };
let seq: number;

beforeEach(async () => {
  operator = await TestOperator.joined(stage, api, await stage.createDataPlane());
  organization = await stage.createOrganization();
  instance = await order('db');
  reader = await FeedReader.open(api, operator);
  await reader.settled(1n);
  seq = 0;
  return () => reader.close();
});

/** As the API's own transaction: the Instance, its operation, and the desired row last. */
async function order(name: string): Promise<{ id: string; key: string }> {
  const id = randomUUID();
  const key = `${organization.name}/${name}`;
  await stage.admin.query(
    `INSERT INTO felucca.instances (tenant_id, id, name, data_plane_id, blueprint_name, blueprint_version, parameters)
     VALUES ($1, $2, $3, $4, 'web', '1.0.0', '{}')`,
    [organization.id, id, name, operator.dataPlaneId],
  );
  await change({ id, key }, 'create', 1);
  return { id, key };
}
async function change(
  of: { id: string; key: string },
  kind: 'create' | 'update' | 'delete',
  generation: number,
) {
  await stage.admin.query(
    `INSERT INTO felucca.operations (tenant_id, id, instance_id, data_plane_id, kind, generation)
     VALUES ($1, $2, $3, $4, $5, $6)`,
    [organization.id, randomUUID(), of.id, operator.dataPlaneId, kind, generation],
  );
  const head = await stage.commit(operator.dataPlaneId, {
    tenantId: organization.id,
    ...of,
    generation,
    deleted: kind === 'delete',
    spec: { blueprintRef: { name: 'web', version: '1.0.0' }, parameters: { generation } },
  });
  api.link.wake.committed([operator.dataPlaneId]);
  return head;
}

const ready = (status: 'True' | 'False' = 'True', reason = 'AllChildrenReady'): Condition => ({
  type: 'Ready',
  status,
  reason,
  message: '',
  lastTransitionTime: '2026-01-01T00:00:00Z',
});
let observations = 0;
const statusOf = (changes: Partial<StatusItem> = {}): StatusItem => ({
  kind: 'Instance',
  ...instance,
  local: false,
  generation: 1,
  digest: 'sha256:1',
  observedSeq: ++observations,
  conditions: [],
  ...changes,
});
type Lists = Partial<Omit<ReportInput, 'proto' | 'session' | 'epoch'>>;
const report = (lists: Lists = {}) => {
  seq = lists.seq ?? seq + 1;
  return operator.report(api, { session: reader.hello.session, epoch: reader.epoch, ...lists, seq });
};
const observed = async () =>
  (
    await stage.admin.query('SELECT * FROM felucca.observed WHERE data_plane_id = $1 ORDER BY key, id', [
      operator.dataPlaneId,
    ])
  ).rows;
const states = async (of = instance.id): Promise<string[]> =>
  (
    await stage.admin.query<{ state: string }>(
      'SELECT state FROM felucca.operations WHERE instance_id = $1 ORDER BY generation',
      [of],
    )
  ).rows.map((row) => row.state);
const link = async () =>
  (
    await stage.admin.query('SELECT * FROM felucca.feed_sessions WHERE data_plane_id = $1', [
      operator.dataPlaneId,
    ])
  ).rows[0];
/** Everything a report could change. */
const everything = async () => {
  const tables = ['feed_sessions', 'observed', 'drift', 'nacks', 'unknown_objects', 'operations'];
  const found: unknown[] = [];
  for (const table of tables)
    found.push(
      (
        await stage.admin.query(`SELECT * FROM felucca.${table} WHERE data_plane_id = $1 ORDER BY 1, 2, 3`, [
          operator.dataPlaneId,
        ])
      ).rows,
    );
  return found;
};
/** Of the content that the feed has under a revision. */
async function hashOf(rev: string): Promise<string> {
  const { rows } = await stage.admin.query(
    'SELECT hash FROM felucca.desired WHERE data_plane_id = $1 AND rev = $2',
    [operator.dataPlaneId, rev],
  );
  return rows[0]!.hash;
}
const ack = (cursor: bigint | string) => ({ ack: { cursor: String(cursor), digest: reader.digest } });

describe('operations', () => {
  test('an order goes accepted, delivered, applied, ready as its operator reports', async () => {
    expect(await states()).toEqual(['accepted']);
    await report(ack(1n));
    expect(await states()).toEqual(['delivered']);
    await report({ status: [statusOf({ conditions: [ready('False', 'ChildrenProgressing')] })] });
    expect(await states()).toEqual(['applied']);
    await report({ status: [statusOf({ conditions: [ready()] })] });
    expect(await states()).toEqual(['ready']);
    const { rows } = await stage.admin.query('SELECT * FROM felucca.operations WHERE instance_id = $1', [
      instance.id,
    ]);
    const { accepted_at, delivered_at, applied_at, ready_at } = rows[0];
    expect([accepted_at, delivered_at, applied_at, ready_at].map(Number)).toEqual(
      [accepted_at, delivered_at, applied_at, ready_at].map(Number).toSorted((a, b) => a - b),
    );
  });

  test('an acknowledgement below the row delivers nothing', async () => {
    const other = await order('later');
    await report(ack(1n));
    expect([await states(), await states(other.id)]).toEqual([['delivered'], ['accepted']]);
  });

  test('the ready generation supersedes the open ones before it; a status of an old one completes nothing new', async () => {
    await change(instance, 'update', 2);
    await change(instance, 'update', 3);
    await report({ status: [statusOf({ generation: 1, conditions: [ready()] })] });
    expect(await states()).toEqual(['ready', 'accepted', 'accepted']);
    await report({ status: [statusOf({ generation: 3, conditions: [ready()] })] });
    expect(await states()).toEqual(['ready', 'superseded', 'ready']);
  });

  test('a suspended Instance has reached what was asked for', async () => {
    await change(instance, 'update', 2);
    await report({ status: [statusOf({ generation: 2, conditions: [ready('False', 'Suspended')] })] });
    expect(await states()).toEqual(['superseded', 'ready']);
  });

  test('what is not done yet says what it waits for', async () => {
    const message = async () =>
      (
        await stage.admin.query('SELECT message FROM felucca.operations WHERE instance_id = $1', [
          instance.id,
        ])
      ).rows[0].message;
    const waits = (text: string): Condition => ({ ...ready('False', 'ChildrenProgressing'), message: text });
    await report({ status: [statusOf({ conditions: [waits('0 of 1 replicas are ready')] })] });
    expect(await message()).toBe('ChildrenProgressing: 0 of 1 replicas are ready');
    await report({ status: [statusOf({ conditions: [waits('the volume is not bound')] })] });
    expect(await message()).toBe('ChildrenProgressing: the volume is not bound');
    expect(await states()).toEqual(['applied']);
    await report({ status: [statusOf({ conditions: [ready()] })] });
    expect(await message()).toBe('');
  });

  test('a row that is held or refused for now says so on its operation, which goes on', async () => {
    const nack = {
      kind: 'Instance' as const,
      key: instance.key,
      rev: '1',
      hash: await hashOf('1'),
      code: 'MASS_DELETE_HELD',
      message: 'a person must release it',
      retryable: true,
    };
    await report({ ...ack(1n), nacks: [nack] });
    const { rows } = await stage.admin.query(
      'SELECT state, message FROM felucca.operations WHERE instance_id = $1',
      [instance.id],
    );
    expect(rows).toEqual([{ state: 'delivered', message: 'MASS_DELETE_HELD: a person must release it' }]);
  });

  test('a stall that needs a person fails the operation with the reason; what heals alone does not', async () => {
    const stalled = (reason: string): Condition => ({
      ...ready(),
      type: 'Stalled',
      reason,
      message: 'size: too big',
    });
    await report({ status: [statusOf({ conditions: [stalled('TenantNotReady')] })] });
    expect(await states()).toEqual(['applied']);
    await report({ status: [statusOf({ conditions: [stalled('ParametersInvalid')] })] });
    expect(await states()).toEqual(['failed']);
    const { rows } = await stage.admin.query(
      'SELECT message FROM felucca.operations WHERE instance_id = $1',
      [instance.id],
    );
    expect(rows[0].message).toBe('ParametersInvalid: size: too big');
    await report({ status: [statusOf({ conditions: [ready()] })] });
    expect(await states()).toEqual(['ready']);
  });

  // Invariant L18.
  test('a deletion is ready when the object is gone, also after its tombstone was compacted', async () => {
    await report({ status: [statusOf({ conditions: [ready()] })] });
    await change(instance, 'delete', 2);
    await report({ status: [statusOf({ generation: 2, conditions: [ready('False', 'Deleting')] })] });
    expect(await states()).toEqual(['ready', 'applied']);
    await stage.admin.query(
      'DELETE FROM felucca.desired WHERE data_plane_id = $1 AND deleted_at IS NOT NULL',
      [operator.dataPlaneId],
    );
    const { body } = await report({ status: [statusOf({ generation: 2, deleted: true })] });
    expect(body['rejected']).toEqual([]);
    expect(await states()).toEqual(['ready', 'ready']);
  });
});

describe('idempotency and fencing', () => {
  // Invariant L21.
  test('a repeated sequence number gets the same answer and changes nothing', async () => {
    const lists = {
      seq: 1,
      ...ack(1n),
      status: [statusOf({ conditions: [ready()] }), statusOf({ id: randomUUID() })],
    };
    const first = await report(lists);
    expect(first.body).toMatchObject({ seq: 1, accepted: 1 });
    const before = await everything();
    const again = await report({ ...lists, status: [statusOf({ conditions: [], observedSeq: 99_999_999 })] });
    expect(again).toEqual(first);
    expect(await everything()).toEqual(before);
  });

  // Invariant L21.
  test('a late or older observation never replaces a newer one', async () => {
    await change(instance, 'update', 2);
    await report({ status: [statusOf({ generation: 2, digest: 'new', observedSeq: 10 })] });
    await report({ status: [statusOf({ generation: 1, digest: 'old', observedSeq: 11 })] });
    await report({ status: [statusOf({ generation: 2, digest: 'late', observedSeq: 9 })] });
    expect(await observed()).toMatchObject([{ digest: 'new', generation: '2' }]);
    await report({ status: [statusOf({ generation: 2, digest: 'newer', observedSeq: 11 })] });
    expect(await observed()).toMatchObject([{ digest: 'newer' }]);
  });

  // Invariant L20.
  test.each<[string, () => Partial<ReportInput>]>([
    ['another session', () => ({ session: 'somebody-else' })],
    ['another epoch', () => ({ epoch: 'before-the-restore' })],
    ['a cursor beyond the head', () => ack(1_000n)],
  ])('a report of %s is refused with 409 and changes nothing', async (_what, forged) => {
    const before = await everything();
    const answer = await operator.report(api, {
      session: reader.hello.session,
      epoch: reader.epoch,
      seq: 1,
      status: [statusOf({ conditions: [ready()] })],
      ...forged(),
    });
    expect(answer).toMatchObject({ status: 409, body: { code: 'CONFLICT' } });
    expect(answer.body['detail']).toContain('Nothing was changed');
    expect(await everything()).toEqual(before);
  });

  // Invariant L20.
  test('a report of an operator with an older term is refused and changes nothing, also under the current session', async () => {
    const leader = await FeedReader.open(api, operator, NOTHING, { term: 7 });
    const { session } = leader.hello;
    const send = (term: number) =>
      operator.report(api, { session, epoch: leader.epoch, seq: 1, term, status: [statusOf()] });
    const before = await everything();
    expect((await send(6)).status).toBe(409);
    expect(await everything()).toEqual(before);
    expect((await send(7)).status).toBe(200);
    expect(await everything()).not.toEqual(before);
    leader.close();
  });

  // Invariant L20.
  test('after a second session took over, reports of the first are refused', async () => {
    const { session } = reader.hello;
    const next = await FeedReader.open(api, operator);
    const late = await operator.report(api, { session, epoch: reader.epoch, seq: 1, status: [statusOf()] });
    expect(late.status).toBe(409);
    expect(await observed()).toEqual([]);
    next.close();
  });

  // Invariant L21.
  test('the acknowledged cursor never goes back', async () => {
    const head = await change(instance, 'update', 2);
    await report(ack(head));
    await report(ack(1n));
    expect((await link()).acked_cursor).toBe(String(head));
  });

  test('reports of one data plane that arrive together are stored one after the other', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        report({ seq: n + 1, status: [statusOf({ observedSeq: n + 1_000_000 })] }),
      ),
    );
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200]));
    expect((await link()).last_seq).toBe('20');
  });
});

describe('whose object it is', () => {
  // Invariant L22.
  test('forged, foreign and future items are rejected one by one; the honest one beside them is stored', async () => {
    const foreignPlane = await stage.createDataPlane();
    const foreign = { key: `${organization.name}/foreign`, id: randomUUID() };
    await stage.commit(foreignPlane, { tenantId: organization.id, ...foreign });
    const { status, body } = await report({
      status: [
        statusOf({ conditions: [ready()] }),
        statusOf({ id: randomUUID() }),
        statusOf(foreign),
        statusOf({ key: 'other/name' }),
        statusOf({ kind: 'Tenant' }),
      ],
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({ accepted: 1 });
    expect(body['rejected']).toHaveLength(4);
    expect(await observed()).toMatchObject([{ id: instance.id, key: instance.key }]);
    const future = await report({ status: [statusOf({ generation: 2, conditions: [ready()] })] });
    expect(future.body).toMatchObject({
      accepted: 0,
      rejected: [{ reason: expect.stringContaining('never asked for') }],
    });
    expect(await observed()).toMatchObject([{ generation: '1' }]);
  });

  test('local objects belong to the organization of their namespace, or are rejected with a reason', async () => {
    const local = { kind: 'Instance' as const, local: true, generation: 4, blueprint: 'web-1.0.0' };
    const uid = randomUUID();
    const { body } = await report({
      status: [
        statusOf({ ...local, key: `${organization.name}/by-hand`, id: uid, conditions: [ready()] }),
        statusOf({ ...local, key: 'nobody/by-hand', id: randomUUID() }),
        statusOf({ ...local }),
      ],
    });
    expect(body).toMatchObject({
      accepted: 1,
      rejected: [
        { key: 'nobody/by-hand', reason: expect.stringContaining('no organization "nobody"') },
        { key: instance.key },
      ],
    });
    expect(await observed()).toMatchObject([
      { id: uid, local: true, tenant_id: organization.id, blueprint: 'web-1.0.0' },
    ]);
    expect(await states()).toEqual(['accepted']);
    await report({
      status: [statusOf({ ...local, key: `${organization.name}/by-hand`, id: uid, deleted: true })],
    });
    expect(await observed()).toEqual([]);
  });

  test('a status goes to its own organization, also beside an object that two organizations of one name had', async () => {
    const uid = randomUUID();
    const shared = statusOf({
      kind: 'Instance',
      local: true,
      generation: 1,
      key: `${organization.name}/shared`,
      id: uid,
    });
    await report({ status: [shared] });
    const former = randomUUID();
    await stage.admin.query(
      `INSERT INTO felucca.observed (tenant_id, data_plane_id, kind, key, id, local, generation, session, observed_seq, digest)
       SELECT $2, data_plane_id, kind, key, id, local, generation, session, observed_seq, digest
       FROM felucca.observed WHERE data_plane_id = $1 AND id = $3`,
      [operator.dataPlaneId, former, uid],
    );
    const { body } = await report({ status: [shared, statusOf({ conditions: [ready()] })] });
    expect(body).toMatchObject({ accepted: 2, rejected: [] });
    const { rows } = await stage.admin.query(
      'SELECT tenant_id FROM felucca.observed WHERE data_plane_id = $1 AND id = $2 AND NOT local',
      [operator.dataPlaneId, instance.id],
    );
    expect(rows).toEqual([{ tenant_id: organization.id }]);
    await stage.admin.query('DELETE FROM felucca.observed WHERE id = $1', [uid]);
  });

  test('a sensitive output is never stored as a value', async () => {
    await stage.commit(operator.dataPlaneId, {
      kind: 'Blueprint',
      key: 'web-1-0-0',
      id: 'b'.repeat(64),
      spec: { outputs: { password: { value: '${x}', sensitive: true }, url: { value: '${y}' } } },
    });
    const leaking = await report({
      status: [statusOf({ outputs: { password: { value: 'hunter2' }, url: { value: 'http://db' } } })],
    });
    expect(leaking.body).toMatchObject({
      accepted: 0,
      rejected: [{ reason: expect.stringContaining('"password"') }],
    });
    expect(JSON.stringify(await everything())).not.toContain('hunter2');
    const outputs = {
      password: { secretRef: { name: 'db-credentials', key: 'password' } },
      url: { value: 'http://db' },
    };
    await report({ status: [statusOf({ outputs })] });
    expect(await observed()).toMatchObject([{ outputs }]);
  });
});

describe('drift, refusals, unknown objects', () => {
  const drift = (n: number, changes = {}) => ({
    kind: 'Instance' as const,
    ...instance,
    object: 'Deployment/db-web',
    path: '/spec/replicas',
    expected: '1',
    actual: String(n),
    manager: 'kubectl-edit',
    detectedAt: new Date(Date.UTC(2026, 0, 1) + n * 1_000).toISOString(),
    action: 'corrected' as const,
    ...changes,
  });
  const records = async () =>
    (
      await stage.admin.query('SELECT actual FROM felucca.drift WHERE object_id = $1 ORDER BY id', [
        instance.id,
      ])
    ).rows;

  test('drift goes with a local object, and is refused of what has left the feed', async () => {
    const local = { key: `${organization.name}/loc`, id: randomUUID() };
    await report({ status: [statusOf({ ...local, local: true })], drift: [drift(1, local)] });
    const found = async () =>
      (await stage.admin.query('SELECT FROM felucca.drift WHERE object_id = $1', [local.id])).rowCount;
    expect(await found()).toBe(1);
    await report({ status: [statusOf({ ...local, local: true, deleted: true })] });
    expect(await found()).toBe(0);

    await report({ status: [statusOf()] });
    await stage.admin.query('DELETE FROM felucca.desired WHERE id = $1', [instance.id]);
    const { body } = await report({ drift: [drift(1)] });
    expect(body).toMatchObject({ accepted: 0, rejected: [{ key: instance.key }] });
  });

  test('the newest 100 records of an object are kept, a repeated one once, a foreign one not at all', async () => {
    const many = Array.from({ length: 130 }, (_, n) => drift(n));
    await report({ drift: many });
    await report({ drift: many.slice(-3) });
    expect(await records()).toHaveLength(100);
    expect((await records()).at(0)?.actual).toBe('30');
    const { body } = await report({ drift: [drift(1, { id: randomUUID() })] });
    expect(body).toMatchObject({ accepted: 0, rejected: [{ key: instance.key }] });
  });

  test('a value that Postgres refuses is the caller’s mistake, so that the operator drops that item alone', async () => {
    expect((await report({ status: [statusOf({ driftCount: 2 ** 40 })] })).status).toBe(422);
    expect((await report({ drift: [drift(1, { detectedAt: '1 (x)' })] })).status).toBe(422);
  });

  test('a refusal for good fails the operation, is shown, and goes when the row was applied after all', async () => {
    const nack = {
      kind: 'Instance' as const,
      key: instance.key,
      rev: '1',
      hash: await hashOf('1'),
      code: 'SIGNATURE_INVALID',
      message: 'no trusted key signed this row',
      retryable: false,
    };
    await report({ ...ack(1n), nacks: [nack] });
    const shown = () =>
      stage.admin.query('SELECT code FROM felucca.nacks WHERE data_plane_id = $1', [operator.dataPlaneId]);
    expect((await shown()).rows).toEqual([{ code: 'SIGNATURE_INVALID' }]);
    expect(await states()).toEqual(['failed']);
    const refusedOf = async (other: object) =>
      (await report({ nacks: [{ ...nack, ...other }] })).body.rejected;
    expect(await refusedOf({ id: instance.id })).toEqual([]);
    // Of another time: a database that was put back gives revisions again.
    for (const other of [{ rev: '77' }, { hash: '' }, { id: randomUUID() }])
      expect(await refusedOf(other)).toMatchObject([{ key: instance.key }]);
    await report({ status: [statusOf({ conditions: [ready()] })] });
    expect((await shown()).rows).toEqual([]);
    expect(await states()).toEqual(['ready']);
  });

  // Invariant L13.
  test('objects that a snapshot did not name are listed until they are gone', async () => {
    const orphan = { kind: 'Instance' as const, key: `${organization.name}/orphan`, id: randomUUID() };
    await report({ unknown: [orphan, { kind: 'Blueprint', key: 'old-1-0-0', id: 'x' }] });
    const listed = async () =>
      (
        await stage.admin.query(
          'SELECT key, tenant_id FROM felucca.unknown_objects WHERE data_plane_id = $1 ORDER BY key',
          [operator.dataPlaneId],
        )
      ).rows;
    expect(await listed()).toHaveLength(2);
    expect(await listed()).toContainEqual({ key: orphan.key, tenant_id: organization.id });
  });
});

describe('limits', () => {
  test('what is not a report is refused by name of the field', async () => {
    const answer = await report({ status: [{ ...statusOf(), generation: -1 }] });
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer: '/status/0/generation' }] } });
  });

  test('a body over 1 MiB is refused', async () => {
    const outputs = { blob: { value: 'x'.repeat(1_100_000) } };
    expect((await report({ status: [statusOf({ outputs })] })).status).toBe(413);
  });

  test('another protocol version is told to upgrade', async () => {
    const answer = await operator.report(api, { proto: 2, session: 's', epoch: 'e', seq: 1 });
    expect(answer.status).toBe(426);
  });

  test('500 items are one transaction of a few statements', async () => {
    const changes = Array.from({ length: 500 }, (_, n) => ({
      tenantId: organization.id,
      key: `${organization.name}/bulk-${n}`,
      id: randomUUID(),
    }));
    await stage.commit(operator.dataPlaneId, ...changes);
    const statements = vi.spyOn(pg.Client.prototype, 'query');
    onTestFinished(() => statements.mockRestore());
    const { body } = await report({
      status: changes.map(({ key, id }) => statusOf({ key, id, conditions: [ready()] })),
    });
    expect(body).toMatchObject({ accepted: 500, rejected: [] });
    // Generous, as the feed polls meanwhile: what it guards against is a round trip per item.
    expect(statements.mock.calls.length).toBeGreaterThan(0);
    expect(statements.mock.calls.length).toBeLessThan(100);
    await until('all are stored', async () => (await observed()).length === 500);
  });

  // Invariant L41.
  test('beyond what may be under way a report is put off before it is read, and accepted when it comes again', async () => {
    const narrow = await stage.startApi({}, { storedAtOnce: 1, underWay: 2 });
    const send = (generation: number) =>
      operator.report(narrow, {
        session: reader.hello.session,
        epoch: reader.epoch,
        seq: ++seq,
        status: [statusOf({ generation })],
      });
    const answers = await Promise.all(Array.from({ length: 20 }, () => send(1)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 429]));
    for (const { status, retryAfter, body } of answers)
      if (status === 429) {
        expect(Number(retryAfter)).toBeGreaterThan(0);
        expect(body).toMatchObject({ code: 'RATE_LIMITED' });
      }
    expect((await send(1)).status).toBe(200);
    await narrow.stop();
  });
});
