import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { compactTombstones } from '../src/feed/compaction.ts';
import { endOperationsOfDeletedDataPlanes, sweepOldRows } from '../src/feed/retention.ts';
import { type ApiProcess, type Stage, startStage, until } from './link-stage.ts';

let stage: Stage;
let api: ApiProcess;
let feed: pg.Pool;
let tenant: string;
let dataPlane: string;
beforeAll(async () => {
  stage = await startStage('retention');
  api = await stage.startApi({ compactionMs: 3_600_000 });
  feed = stage.asFeed();
  await stage.admin.query(
    `INSERT INTO felucca.blueprints (name, version, digest, spec) VALUES ('web', '1.0.0', 'sha256:0', '{}')`,
  );
});
beforeEach(async () => {
  tenant = (await stage.createOrganization()).id;
  dataPlane = await stage.createDataPlane();
});
afterAll(async () => {
  await feed?.end();
  await stage?.stop();
});

const run = (text: string, ...values: unknown[]) => stage.admin.query(text, values);
const keysOf = async (table: string, column: string): Promise<string[]> =>
  (
    await run(
      `SELECT ${column}::text AS name FROM felucca.${table} WHERE ${table === 'idempotency_keys' ? 'tenant_id' : 'data_plane_id'} = $1 ORDER BY 1`,
      table === 'idempotency_keys' ? tenant : dataPlane,
    )
  ).rows.map((row) => row.name);
const sweep = async (rows?: number): Promise<Record<string, number>> => {
  const swept: Record<string, number> = {};
  await sweepOldRows(feed, (table, count) => (swept[table] = count), rows);
  return swept;
};
const observe = (key: string, deleted: boolean, days: number) =>
  run(
    `INSERT INTO felucca.observed (tenant_id, data_plane_id, kind, key, id, local, generation, session, observed_seq,
       digest, deleted, reported_at)
     VALUES ($1, $2, 'Instance', $3, $3, false, 1, 's', 1, 'd', $4, now() - $5 * interval '1 day')`,
    tenant,
    dataPlane,
    key,
    deleted,
    days,
  );
const drift = (key: string) =>
  run(
    `INSERT INTO felucca.drift (tenant_id, data_plane_id, kind, key, object_id, object, path, expected, actual,
       manager, action, detected_at) VALUES ($1, $2, 'Instance', $3, $3, 'o', '/p', '1', '2', 'm', 'corrected', now())`,
    tenant,
    dataPlane,
    key,
  );
const refusal = (key: string, rev: number, id = key) =>
  run(
    `INSERT INTO felucca.nacks (tenant_id, data_plane_id, kind, key, id, rev, hash, code, message, retryable)
     VALUES ($1, $2, 'Instance', $3, $4, $5, 'h', 'c', 'm', false)`,
    tenant,
    dataPlane,
    key,
    id,
    rev,
  );

test('an operation of a deleted data plane ends, for nobody will ever tell how', async () => {
  const order = async (plane: string, state: string): Promise<string> => {
    const id = randomUUID();
    await run(
      `INSERT INTO felucca.instances (tenant_id, id, name, data_plane_id, blueprint_name, blueprint_version, parameters,
         deleted_at) VALUES ($1, $2, $4, $3, 'web', '1.0.0', '{}', now())`,
      tenant,
      id,
      plane,
      id,
    );
    await run(
      `INSERT INTO felucca.operations (tenant_id, id, instance_id, data_plane_id, kind, generation, state)
       VALUES ($1, $2, $2, $3, 'delete', 2, $4)`,
      tenant,
      id,
      plane,
      state,
    );
    return id;
  };
  const ids = [
    await order(dataPlane, 'accepted'),
    await order(dataPlane, 'ready'),
    await order(await stage.createDataPlane(), 'accepted'),
  ];
  await run('UPDATE felucca.data_planes SET deleted_at = now() WHERE id = $1', dataPlane);
  expect(await endOperationsOfDeletedDataPlanes(feed)).toBe(1);
  const states = await run(
    'SELECT id, state, ended_at IS NOT NULL AS ended FROM felucca.operations WHERE id = ANY($1)',
    ids,
  );
  expect(ids.map((id) => states.rows.find((row) => row.id === id))).toMatchObject([
    { state: 'superseded', ended: true },
    { state: 'ready' },
    { state: 'accepted', ended: false },
  ]);
});

describe('a sweep', () => {
  test('forgets idempotency keys after a day and join tokens a week after they expired', async () => {
    for (const [key, hours] of [['new', 23] as const, ['old', 25] as const])
      await run(
        `INSERT INTO felucca.idempotency_keys (tenant_id, key, fingerprint, created_at)
         VALUES ($1, $2, 'f', now() - $3 * interval '1 hour')`,
        tenant,
        key,
        hours,
      );
    for (const days of [6, 8]) await stage.createJoinToken(dataPlane, -days * 24 * 3_600);
    expect(await sweep()).toMatchObject({ idempotency_keys: 1, join_tokens: 1 });
    expect(await keysOf('idempotency_keys', 'key')).toEqual(['new']);
    const answers = feed.query('SELECT body FROM felucca.idempotency_keys');
    await expect(answers, 'who sweeps reads no answers').rejects.toMatchObject({ code: '42501' });
    expect(await keysOf('join_tokens', "(expires_at > now() - interval '7 days')")).toEqual(['true']);
  });

  test('forgets what was observed of an object a week after its end, but not while the feed has its deletion', async () => {
    await observe('alive', false, 30);
    await observe('ended', true, 8);
    await observe('just-ended', true, 6);
    await observe('in-feed', true, 8);
    await stage.commit(dataPlane, { tenantId: tenant, key: 'in-feed', id: 'in-feed', deleted: true });
    expect(await sweep()).toEqual({ observed: 1 });
    expect(await keysOf('observed', 'key')).toEqual(['alive', 'in-feed', 'just-ended']);
  });

  test('forgets finished operations after 90 days, and deleted Instances with their last operation', async () => {
    const order = async (name: string, ended: number | null, deleted: number | null) => {
      const id = randomUUID();
      await run(
        `INSERT INTO felucca.instances (tenant_id, id, name, data_plane_id, blueprint_name, blueprint_version, parameters,
           deleted_at) VALUES ($1, $2, $3, $4, 'web', '1.0.0', '{}', now() - $5 * interval '1 day')`,
        tenant,
        id,
        name,
        dataPlane,
        deleted,
      );
      await run(
        `INSERT INTO felucca.operations (tenant_id, id, instance_id, data_plane_id, kind, generation, message, ended_at)
         VALUES ($1, $2, $3, $4, 'create', 1, $5, now() - $6 * interval '1 day')`,
        tenant,
        randomUUID(),
        id,
        dataPlane,
        name,
        ended,
      );
    };
    await order('gone', 91, 91);
    await order('open', null, 91);
    await order('recent', 89, 89);
    await order('lives', 91, null);
    expect(await sweep()).toEqual({ operations: 2, instances: 1 });
    expect(await keysOf('operations', 'message')).toEqual(['open', 'recent']);
    expect(await keysOf('instances', 'name')).toEqual(['lives', 'open', 'recent']);
  });

  test('forgets what a data plane reported a week after it was deleted', async () => {
    await observe('orphan', false, 0);
    await drift('orphan');
    await refusal('orphan', 1);
    await run(
      `INSERT INTO felucca.unknown_objects (tenant_id, data_plane_id, kind, key, id, seen_at)
       VALUES ($1, $2, 'Instance', 'x', 'x', now() - interval '1 year')`,
      tenant,
      dataPlane,
    );
    expect(await sweep()).toEqual({});
    await run(
      `UPDATE felucca.data_planes SET deleted_at = now() - interval '8 days' WHERE id = $1`,
      dataPlane,
    );
    expect(await sweep()).toEqual({ observed: 1, drift: 1, nacks: 1, unknown_objects: 1 });
  });

  test('takes a bounded number of rows, and none while another process sweeps', async () => {
    for (const key of ['a', 'b', 'c']) await observe(key, true, 8);
    expect(await sweep(2)).toEqual({ observed: 2 });
    const other = await stage.admin.connect();
    await other.query(`BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('felucca.retention', 0))`);
    expect(await sweep()).toEqual({});
    await other.query('ROLLBACK');
    other.release();
    expect(await sweep()).toEqual({ observed: 1 });
  });

  test('that fails on one table goes on with the others', async () => {
    await observe('old', true, 8);
    await stage.admin.query('REVOKE DELETE ON felucca.join_tokens FROM felucca_feed');
    try {
      await expect(sweep()).rejects.toThrow('1 sweep failed');
    } finally {
      await stage.admin.query('GRANT DELETE ON felucca.join_tokens TO felucca_feed');
    }
    expect(await keysOf('observed', 'key')).toEqual([]);
  });

  test('runs by itself and is counted', async () => {
    await observe('old', true, 8);
    const sweeping = await stage.startApi({ compactionMs: 50 });
    await until('the row is gone', async () => (await keysOf('observed', 'key')).length === 0);
    await until('the row is counted', async () =>
      /felucca_swept_rows_total\{table="observed"\} 1/.test(await sweeping.registry.metrics()),
    );
    await sweeping.stop();
  });
});

test('drift and refusals of a deleted object go with its tombstone, those of its successor stay', async () => {
  const row = { tenantId: tenant, key: 'same', id: 'same' };
  await stage.commit(dataPlane, row);
  await drift('same');
  await drift('other');
  await refusal('same', 1);
  await refusal('other', 1);
  await stage.commit(dataPlane, { ...row, generation: 2, deleted: true });
  await stage.commit(dataPlane, { tenantId: tenant, key: 'other', id: 'other' });
  await compactTombstones(feed, { retentionMs: 0 });
  expect(await keysOf('drift', 'key')).toEqual(['other']);
  expect(await keysOf('nacks', 'key')).toEqual(['other']);

  await stage.commit(dataPlane, { tenantId: tenant, key: 'again', id: 'first', deleted: true });
  await stage.commit(dataPlane, { tenantId: tenant, key: 'again', id: 'second' });
  await refusal('again', 5, 'second');
  await compactTombstones(feed, { retentionMs: 0 });
  expect(await keysOf('nacks', 'key')).toEqual(['again', 'other']);
  expect(api.logs).toEqual([]);
});
