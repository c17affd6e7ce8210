import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Transaction } from '../src/db/tenant.ts';
import { createClaims, markSeen } from '../src/feed/sessions.ts';
import { findDataPlane, holdDataPlane, markDataPlaneDeleted } from '../src/resources/data-planes/queries.ts';
import { FeedReader, NOTHING } from './feed-client.ts';
import { type ApiProcess, type Stage, startStage, TestOperator, until } from './link-stage.ts';

let stage: Stage;
let api: ApiProcess;
beforeAll(async () => {
  stage = await startStage('link-state');
  api = await stage.startApi({ pollMs: 200 });
});
afterAll(() => stage?.stop());

const linkOf = async (dataPlaneId: string) => {
  const row = await findDataPlane({ query: (statement) => stage.admin.query(statement) }, dataPlaneId);
  if (!row) throw new Error('no such data plane');
  return row;
};

describe('an order that is not committed yet', () => {
  /** Holds the data plane as an order does, in a transaction that stays open meanwhile. */
  async function whileOrdering(dataPlaneId: string, work: () => Promise<unknown>): Promise<void> {
    const client = await stage.admin.connect();
    try {
      await client.query('BEGIN');
      const tx: Transaction = { query: (statement) => client.query(statement) };
      expect(await holdDataPlane(tx, dataPlaneId)).toMatchObject({ id: dataPlaneId });
      await work();
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
  }

  test('delays no hello, no report and no join of its data plane', async () => {
    const dataPlaneId = await stage.createDataPlane();
    const operator = await TestOperator.joined(stage, api, dataPlaneId);
    await whileOrdering(dataPlaneId, async () => {
      const reader = await FeedReader.open(api, operator);
      const { session, epoch } = reader.hello;
      expect((await operator.report(api, { session, epoch, seq: 1 })).status).toBe(200);
      const token = await stage.createJoinToken(dataPlaneId);
      expect((await new TestOperator().join(api, token)).status).toBe(200);
      reader.close();
    });
  });

  test('keeps its data plane from being deleted', async () => {
    const dataPlaneId = await stage.createDataPlane();
    await whileOrdering(dataPlaneId, async () => {
      const client = await stage.admin.connect();
      await client.query("BEGIN; SET LOCAL lock_timeout = '100ms'");
      const deletion = markDataPlaneDeleted({ query: (statement) => client.query(statement) }, dataPlaneId);
      await expect(deletion).rejects.toMatchObject({ code: '55P03' });
      await client.query('ROLLBACK');
      client.release();
    });
  });
});

test('marks lock data planes by id, as claims do, so that neither waits for the other crosswise', async () => {
  const operators = [
    await TestOperator.joined(stage, api, await stage.createDataPlane()),
    await TestOperator.joined(stage, api, await stage.createDataPlane()),
  ];
  const claim = createClaims(stage.admin);
  const held = operators
    .map(({ identity }) => ({
      dataPlaneId: identity!.dataPlaneId,
      keyId: identity!.keyId,
      session: 'marked',
    }))
    .sort((a, b) => (a.dataPlaneId < b.dataPlaneId ? 1 : -1));
  const [high = '', low = ''] = held.map(({ dataPlaneId }) => dataPlaneId);
  // One after the other: neither the rows of the table nor those of the statement are in the order of ids.
  for (const one of held) await claim({ ...one, term: 0, instance: 'test-0', isOver: () => false });
  const client = await stage.admin.connect();
  await client.query('BEGIN');
  await client.query('SELECT FROM felucca.feed_sessions WHERE data_plane_id = $1 FOR UPDATE', [low]);
  const marking = markSeen(stage.admin, held);
  await until('the mark waits for the lower id', async () => {
    const { rows } = await stage.admin.query(
      `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%last_seen_at = now()%'`,
    );
    return rows.length > 0;
  });
  await client.query('SELECT FROM felucca.feed_sessions WHERE data_plane_id = $1 FOR UPDATE NOWAIT', [high]);
  await client.query('COMMIT');
  client.release();
  await marking;
});

describe('the link that people see', () => {
  test('is connected while a stream is open, and says when it was last', async () => {
    const operator = await TestOperator.joined(stage, api, await stage.createDataPlane());
    expect(await linkOf(operator.dataPlaneId)).toMatchObject({ connected: false, last_seen_at: null });
    const reader = await FeedReader.open(api, operator, NOTHING, { instance: 'operator-7' });
    const open = await linkOf(operator.dataPlaneId);
    expect(open).toMatchObject({ connected: true, operator_instance: 'operator-7' });
    reader.close();
    await until('the link is not connected', async () => !(await linkOf(operator.dataPlaneId)).connected);
    expect((await linkOf(operator.dataPlaneId)).last_seen_at).toBeInstanceOf(Date);
  });

  test('is connected still when a second stream took over and the first ended', async () => {
    const operator = await TestOperator.joined(stage, api, await stage.createDataPlane());
    const older = await FeedReader.open(api, operator);
    const newer = await FeedReader.open(api, operator);
    await until('the older stream ends', () => older.ended);
    const other = await TestOperator.joined(stage, api, await stage.createDataPlane());
    (await FeedReader.open(api, other)).close();
    // Ends are written in their order, so the older one's has been by now.
    await until('a later end is written', async () => !(await linkOf(other.dataPlaneId)).connected);
    expect((await linkOf(operator.dataPlaneId)).connected).toBe(true);
    newer.close();
  });

  test('is not connected when the API process that held the stream was killed', async () => {
    const operator = await TestOperator.joined(stage, api, await stage.createDataPlane());
    const reader = await FeedReader.open(api, operator);
    await stage.admin.query(
      `UPDATE felucca.feed_sessions SET session = 'of another process', last_seen_at = now() - interval '4 minutes'
        WHERE data_plane_id = $1`,
      [operator.dataPlaneId],
    );
    expect((await linkOf(operator.dataPlaneId)).connected).toBe(false);
    reader.close();
  });

  test('is not connected after the API process was stopped', async () => {
    const stopping = await stage.startApi();
    const operator = await TestOperator.joined(stage, stopping, await stage.createDataPlane());
    await FeedReader.open(stopping, operator);
    await stopping.stop();
    expect((await linkOf(operator.dataPlaneId)).connected).toBe(false);
  });

  test('counts what was acknowledged in this epoch only', async () => {
    const operator = await TestOperator.joined(stage, api, await stage.createDataPlane());
    const head = await stage.commit(operator.dataPlaneId, { key: 'acme/a', id: crypto.randomUUID() });
    const reader = await FeedReader.open(api, operator);
    await reader.settled(head);
    const { epoch, cursor, digest } = reader.position;
    await operator.report(api, { session: reader.hello.session, epoch, seq: 1, ack: { cursor, digest } });
    expect((await linkOf(operator.dataPlaneId)).acked_cursor).toBe('1');
    await stage.admin.query(
      "UPDATE felucca.feed_heads SET epoch = 'next', head = 0 WHERE data_plane_id = $1",
      [operator.dataPlaneId],
    );
    expect((await linkOf(operator.dataPlaneId)).acked_cursor).toBe('0');
    reader.close();
  });
});
