import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createClaims } from '../src/feed/sessions.ts';
import { FeedReader, NOTHING } from './feed-client.ts';
import { TestOperator, until } from './link-stage.ts';
import { api, join, row, stage, startFeed, stopFeed, write } from './support/feed-stage.ts';

beforeAll(() => startFeed('feed-sessions'));
afterAll(() => stopFeed());

describe('sessions', () => {
  // Invariant L19.
  test('a second session with the same term takes over; the older one is told and ends', async () => {
    const operator = await join();
    const older = await FeedReader.open(api, operator);
    const newer = await FeedReader.open(api, operator);
    expect(await older.frame('error')).toMatchObject({ code: 'SUPERSEDED', retryable: false });
    await until('the older stream ends', () => older.ended);
    await newer.reaches(await write(operator, row('for-newer')));
    expect(older.of('delta')).toEqual([]);
    newer.close();
  });

  // Invariant L19.
  test('a hello whose operator has given up takes nothing from the stream that it opened since', async () => {
    const operator = await join();
    const holder = await FeedReader.open(api, operator);
    const { dataPlaneId, keyId } = operator.identity!;
    const claim = { dataPlaneId, keyId, session: 'late', term: 99, instance: 'o', isOver: () => true };
    expect(await createClaims(stage.admin)(claim)).toBeUndefined();
    await holder.reaches(await write(operator, row('for-the-holder')));
    expect(await createClaims(stage.admin)({ ...claim, isOver: () => false })).toMatchObject({
      granted: true,
    });
    holder.close();
  });

  // Invariant L41.
  test('of more streams than are listened to, the end of each is noticed in its turn', async () => {
    const busy = await stage.startApi({ listenedTo: 1 });
    const operators = [await join(busy), await join(busy), await join(busy)];
    const readers: FeedReader[] = [];
    for (const operator of operators) readers.push(await FeedReader.open(busy, operator));
    const dataPlanes = operators.map(({ dataPlaneId }) => dataPlaneId);
    const ended = async (): Promise<number> => {
      const { rows } = await stage.admin.query(
        'SELECT FROM felucca.feed_sessions WHERE data_plane_id = ANY($1) AND ended_at IS NOT NULL',
        [dataPlanes],
      );
      return rows.length;
    };
    // All have been told that they are not listened to, each but one.
    await setTimeout(500);
    expect(await ended()).toBe(0);
    for (const reader of readers) reader.close();
    await until('all three have ended', async () => ((await ended()) === 3 ? true : undefined));
    await busy.stop();
  });

  // Invariant L41.
  test('a connection whose long poll was not listened to serves the next one', async () => {
    const deaf = await stage.startApi({ listenedTo: 0 });
    const operator = await join(deaf);
    const path = `/v1/data-planes/${operator.dataPlaneId}/sync`;
    // Of somebody who has all: the first contact would be answered before the first tick.
    const first = await FeedReader.open(deaf, operator, NOTHING, { wait: 0 });
    await until('the poll ends', () => first.ended);
    const query = new URLSearchParams({ proto: '1', ...first.position, wait: '1' });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const poll = async (): Promise<{ status: number | undefined; reused: boolean }> => {
      const headers = { authorization: await operator.authorization('GET', path) };
      const call = request(`${deaf.url}${path}?${query}`, { agent, headers }).end();
      const [answer] = (await once(call, 'response')) as [IncomingMessage];
      answer.resume();
      await once(answer, 'end');
      return { status: answer.statusCode, reused: call.reusedSocket };
    };
    expect(await poll()).toEqual({ status: 200, reused: false });
    expect(await poll()).toEqual({ status: 200, reused: true });
    agent.destroy();
    await deaf.stop();
  });

  // Invariant L19.
  test('a session with a lower term is refused and the holder stays', async () => {
    const operator = await join();
    const holder = await FeedReader.open(api, operator, NOTHING, { term: 5 });
    const stale = await FeedReader.open(api, operator, NOTHING, { term: 4 });
    expect(await stale.frame('error')).toMatchObject({ code: 'SUPERSEDED' });
    await holder.reaches(await write(operator, row('for-holder')));
    const next = await FeedReader.open(api, operator, NOTHING, { term: 6 });
    expect(await holder.frame('error')).toMatchObject({ code: 'SUPERSEDED' });
    next.close();
  });

  // Invariant L19.
  test('a session on another API process is superseded too', async () => {
    const other = await stage.startApi({ pollMs: 300 });
    const operator = await join();
    const older = await FeedReader.open(other, operator);
    const newer = await FeedReader.open(api, operator);
    expect(await older.frame('error')).toMatchObject({ code: 'SUPERSEDED' });
    newer.close();
    await other.stop();
  });

  // Invariant L19.
  test('the key that joined last holds the data plane, whatever terms the keys before it claim', async () => {
    const stolen = await join();
    const thief = await FeedReader.open(api, stolen, NOTHING, { term: Number.MAX_SAFE_INTEGER });
    // Also after a rebuilt cluster, where the Lease counts from zero.
    const anew = await TestOperator.joined(stage, api, stolen.dataPlaneId);
    const holder = await FeedReader.open(api, anew, NOTHING, { term: 0 });
    expect(await thief.frame('error')).toMatchObject({ code: 'SUPERSEDED' });
    // Its key is good for some minutes more.
    const again = await FeedReader.open(api, stolen, NOTHING, { term: Number.MAX_SAFE_INTEGER });
    expect(await again.frame('error')).toMatchObject({ code: 'SUPERSEDED' });
    await holder.reaches(await write(anew, row('for-the-newest-key')));
    holder.close();
  });

  // Invariant L19.
  test('a key that joins again with another token starts its terms from zero', async () => {
    const operator = await join();
    const before = await FeedReader.open(api, operator, NOTHING, { term: 9 });
    const token = await stage.createJoinToken(operator.dataPlaneId);
    expect((await operator.join(api, token)).status).toBe(200);
    const reader = await FeedReader.open(api, operator, NOTHING, { term: 0 });
    expect(reader.hello.mode).toBe('reset');
    before.close();
    reader.close();
  });

  // Invariant L19.
  test('the session of a revoked key holds nothing: the key before it gets in again', async () => {
    const operator = await join();
    // With a stolen token.
    const stolen = await TestOperator.joined(stage, api, operator.dataPlaneId);
    const thief = await FeedReader.open(api, stolen, NOTHING, { term: Number.MAX_SAFE_INTEGER });
    const shutOut = await FeedReader.open(api, operator, NOTHING, { term: 3 });
    expect(await shutOut.frame('error')).toMatchObject({ code: 'SUPERSEDED' });
    await stage.admin.query('UPDATE felucca.operator_keys SET revoked_at = now() WHERE id = $1', [
      stolen.identity?.keyId,
    ]);
    const reader = await FeedReader.open(api, operator, NOTHING, { term: 3 });
    expect(reader.hello.mode).toBe('reset');
    await until('the stream of the revoked key ends', () => thief.ended);
    reader.close();
  });
});

describe('long poll', () => {
  test('answers at once when rows wait, with the frames of the stream', async () => {
    const operator = await join();
    await stage.commit(operator.dataPlaneId, row('p1'));
    const reader = await FeedReader.open(api, operator, NOTHING, { wait: 30 });
    await until('the poll ends', () => reader.ended);
    expect(reader.frames.map((frame) => frame.type)).toEqual(['hello', 'snapshot', 'bookmark']);
  });

  test('waits for a commit, then ends', async () => {
    const operator = await join();
    const first = await FeedReader.open(api, operator, NOTHING, { wait: 0 });
    await until('the poll ends', () => first.ended);
    const reader = await FeedReader.open(api, operator, first.position, { wait: 30, from: first });
    const head = await write(operator, row('polled'));
    await until('the poll ends', () => reader.ended);
    expect(reader.frames.map((frame) => frame.type)).toEqual(['hello', 'delta', 'bookmark']);
    expect(reader.cursor).toBe(head);
  });

  test('ends with a bookmark when nothing happens', async () => {
    const operator = await join();
    const first = await FeedReader.open(api, operator, NOTHING, { wait: 0 });
    await until('the poll ends', () => first.ended);
    const reader = await FeedReader.open(api, operator, first.position, { wait: 1 });
    await until('the poll ends', () => reader.ended);
    expect(reader.frames.map((frame) => frame.type)).toEqual(['hello', 'bookmark']);
  });
});
