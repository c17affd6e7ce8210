import { randomUUID } from 'node:crypto';
import { Agent, request as rawRequest } from 'node:http';
import { connect } from 'node:net';
import { type PostgresServer, startPostgres } from '@felucca/dev/postgres';
import type { FastifyRequest } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { keyedHashFromFolder } from '../src/db/keyed-hash.ts';
import { openDatabase } from '../src/db/pool.ts';
import { APP_ROLE, derivePasswords, FEED_ROLE, urlAs } from '../src/db/role-passwords.ts';
import { PLATFORM_TENANT } from '../src/db/tenant.ts';
import { createKeyAuthentication, newKey } from '../src/http/api-keys.ts';
import type { Problem } from '../src/http/problems.ts';
import { ApiProcess, type Reply } from './support/api-process.ts';
import { tinyBlueprint } from './support/tiny-blueprint.ts';

let server: PostgresServer;
let databaseUrl: string;
let api: ApiProcess;
const instances = '/v1/organizations/acme/instances';
const order = (name: string, headers: Record<string, string> = {}) =>
  api.call('POST', instances, { name, dataPlane: 'dp', blueprint: 'tiny', version: '1.0.0' }, headers);
beforeAll(async () => {
  server = await startPostgres({ name: 'requests' });
  databaseUrl = await server.createDatabase('requests');
  api = await ApiProcess.start(databaseUrl);
  await api.call('POST', '/v1/organizations', { name: 'acme' });
  await api.call('POST', '/v1/data-planes', { name: 'dp' });
  await api.call('POST', '/v1/blueprints', tinyBlueprint());
});
afterAll(async () => {
  await api?.stop();
  await server?.stop();
});

/** As it stands: fetch() corrects what a test wants to be wrong. */
const raw = (path: string) =>
  new Promise<{ status: number; type: string; body: string }>((resolve, reject) => {
    const { hostname, port } = new URL(api.url);
    rawRequest({ hostname, port, path }, (answer) => {
      let body = '';
      answer.on('data', (chunk: Buffer) => {
        body += chunk;
      });
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, type: answer.headers['content-type'] ?? '', body }),
      );
    })
      .on('error', reject)
      .end();
  });
const said = (reply: Reply) => [reply.status, reply.body.errors];

describe('a request', () => {
  test.each([
    ['POST', instances, { wrong: true }],
    ['POST', instances, '{'],
    ['GET', `${instances}?limit=x`, undefined],
    ['GET', '/v1/organizations/NOT-A-NAME/instances', undefined],
  ])('of a stranger is answered 401, however wrong it is: %s %s', async (method, path, body) => {
    const answer = await api.call(method, path, body, {}, 'fel_nobody');
    expect(answer.status).toBe(401);
  });

  test('says in plain words which field is wrong, why, and what to do', async () => {
    const answer = await api.call('POST', instances, {
      name: 'A_B',
      suspend: 'no',
      deletionPolicy: 'x',
      y: 1,
    });
    expect(answer.status).toBe(422);
    expect(answer.body.errors).toEqual([
      { pointer: '/name', message: expect.stringMatching(/^must be /) },
      { pointer: '/dataPlane', message: 'is required', remedy: 'send a string' },
      { pointer: '/blueprint', message: 'is required', remedy: 'send a string' },
      { pointer: '/version', message: 'is required', remedy: 'send a string' },
      { pointer: '/suspend', message: 'must be a boolean' },
      { pointer: '/deletionPolicy', message: 'must be one of "Delete", "Retain", "Orphan"' },
      {
        pointer: '/y',
        message: 'is not known here',
        remedy: expect.stringMatching(/^leave it out; there is name, dataPlane, /),
      },
    ]);
  });

  test('with a query parameter that does not exist is refused: a misspelt dry run must not order', async () => {
    const body = { name: 'typo', dataPlane: 'dp', blueprint: 'tiny', version: '1.0.0' };
    expect(said(await api.call('POST', `${instances}?dry-run=true`, body))).toEqual([
      422,
      [{ pointer: '/dry-run', message: 'is not known here', remedy: 'write it as "dryRun"' }],
    ]);
    expect((await api.call('GET', `${instances}/typo`)).status).toBe(404);
    // A route that has no parameters at all.
    expect((await api.call('DELETE', `${instances}/typo?force=1`)).status).toBe(422);
    expect(said(await api.call('GET', `${instances}?limit=900`))).toEqual([
      422,
      [{ pointer: '/limit', message: 'must be at most 200' }],
    ]);
  });

  test('with a method that the path does not take is told which ones it takes', async () => {
    const answer = await api.call('PUT', instances, {});
    expect([answer.status, answer.body.code]).toEqual([405, 'METHOD_NOT_ALLOWED']);
    expect(answer.headers.get('allow')?.split(', ').sort()).toEqual(['GET', 'HEAD', 'POST']);
    expect((await api.call('GET', '/v1/nothing')).status).toBe(404);
  });

  test('that looks like a path of ours and is none is not found', async () => {
    expect((await api.call('GET', '/openapiXjson')).status).toBe(404);
    expect((await api.call('GET', `/v1/organizations/${'a'.repeat(200)}/instances`)).status).toBe(404);
  });

  test.each([
    ['no HTTP at all', 'hello\r\n\r\n', /not an HTTP/],
    [
      'headers without end',
      `GET / HTTP/1.1\r\nhost: x\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`,
      /headers are larger/,
    ],
  ])('that is %s is a problem, too', async (_, text, detail) => {
    const { hostname, port } = new URL(api.url);
    const socket = connect({ host: hostname, port: Number(port) });
    socket.end(text);
    let answer = '';
    for await (const chunk of socket) answer += chunk;
    expect(answer).toMatch(/^HTTP\/1.1 400 .*content-type: application\/problem\+json/s);
    expect(JSON.parse(answer.slice(answer.indexOf('{'))).detail).toMatch(detail);
  });

  test('whose path cannot be decoded is a problem like any other', async () => {
    const answer = await raw('/v1/organizations/%zz');
    expect([answer.status, answer.type]).toEqual([400, expect.stringContaining('application/problem+json')]);
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'MALFORMED' });
  });
});

describe('a change', () => {
  test('honours If-Match also where none is needed, and answers with the time of the change', async () => {
    const { body, headers } = await order('matched');
    const etag = headers.get('etag') as string;
    const suspend = `${instances}/matched/suspend`;
    expect((await api.call('POST', suspend, undefined, { 'if-match': '"other.1"' })).status).toBe(412);
    const changed = await api.call('POST', suspend, undefined, { 'if-match': etag });
    expect(changed.status).toBe(202);
    const read = await api.call('GET', `${instances}/matched`);
    expect(changed.body.updatedAt).toBe(read.body.updatedAt);
    expect(read.body.updatedAt > body.updatedAt).toBe(true);
    const gone = await api.call('DELETE', `${instances}/matched`, undefined, { 'if-match': '*' });
    expect(gone.body.updatedAt > read.body.updatedAt).toBe(true);
  });

  test('that is repeated gets its stored answer although its data plane is gone', async () => {
    await api.call('POST', '/v1/data-planes', { name: 'brief' });
    const body = { name: 'short', dataPlane: 'brief', blueprint: 'tiny', version: '1.0.0' };
    const key = { 'idempotency-key': 'short-1' };
    const first = await api.call('POST', instances, body, key);
    expect(first.status).toBe(202);
    await api.call('DELETE', `${instances}/short`, undefined, { 'if-match': '*' });
    expect((await api.call('DELETE', '/v1/data-planes/brief')).status).toBe(204);
    const again = await api.call('POST', instances, body, key);
    expect([again.status, again.body]).toEqual([202, first.body]);
  });
});

test('a data plane is found by name and by id, and no name can pass for an id', async () => {
  const made = await api.call('POST', '/v1/data-planes', { name: 'named' });
  for (const one of ['named', made.body.id])
    expect((await api.call('GET', `/v1/data-planes/${one}`)).body.id).toBe(made.body.id);
  expect(said(await api.call('POST', '/v1/data-planes', { name: made.body.id }))).toEqual([
    422,
    [{ pointer: '/name', message: 'must not look like an id; choose a name for people' }],
  ]);
});

describe('operations', () => {
  const path = '/v1/organizations/acme/operations';
  test('are listed page by page, newest first', async () => {
    for (const name of ['one', 'two', 'three']) await order(name);
    const ids: string[] = [];
    let cursor = '';
    do {
      const { body } = await api.call('GET', `${path}?limit=2${cursor && `&cursor=${cursor}`}`);
      expect(body.items.length).toBeLessThanOrEqual(2);
      ids.push(...body.items.map((item: { id: string }) => item.id));
      cursor = body.nextCursor ?? '';
    } while (cursor);
    const { body } = await api.call('GET', `${path}?limit=200`);
    expect(ids).toEqual(body.items.map((item: { id: string }) => item.id));
    expect(ids).toEqual(ids.toSorted().reverse());
    expect((await api.call('GET', `${path}?cursor=YWJj`)).status).toBe(400);
  });

  test('are answered at once to those who come when too many wait, and to all when the process ends', async () => {
    const { body } = await order('waited');
    const waitFor = () => api.call('GET', `${path}/${body.operation.id}`, undefined, { prefer: 'wait=60' });
    const started = performance.now();
    const answers: number[] = [];
    const waiting = Array.from({ length: 70 }, async () => {
      const answer = await waitFor();
      answers.push(performance.now() - started);
      return answer;
    });
    while (answers.length < 6) {
      if (performance.now() - started > 15_000) throw new Error(`only ${answers.length} were answered`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(answers.length).toBe(6);
    const ended = await api.signal('SIGTERM');
    expect(ended).toBe(0);
    const all = await Promise.all(waiting);
    expect(all.every((answer) => answer.status === 200 && answer.body.state === 'accepted')).toBe(true);
    await api.restart();
  });
});

test('a stranger who tries many keys is told to wait, and who was let in lately is not', async () => {
  const passwords = await derivePasswords(api.keyDir);
  const as = (role: string) => urlAs(databaseUrl, role, passwords[role] ?? '');
  const db = openDatabase({ appUrl: as(APP_ROLE), feedUrl: as(FEED_ROLE), onError: () => {} });
  // Time stands still: how many a second reach the database is not a matter of how fast this machine is.
  let nowMs = 0;
  const hash = await keyedHashFromFolder(api.keyDir);
  const authenticate = createKeyAuthentication(db, hash, () => nowMs);
  const sends = (key: string) =>
    authenticate({ headers: { authorization: `Bearer ${key}` } } as FastifyRequest).then(
      ({ scope }) => scope,
      (refusal: Problem) => {
        if (refusal.code === 'RATE_LIMITED') expect(refusal.retryAfterSeconds).toBe(1);
        return refusal.code;
      },
    );
  const identity = { tenantId: PLATFORM_TENANT, scope: 'platform' } as const;
  const madeUp = (count: number) =>
    Array.from({ length: count }, () => sends(newKey(hash, { id: randomUUID(), ...identity }).key));
  const answers = async (count: number) => {
    const all = await Promise.all(madeUp(count));
    return Object.fromEntries(
      ['UNAUTHENTICATED', 'RATE_LIMITED'].map((code) => [code, all.filter((one) => one === code).length]),
    );
  };
  try {
    expect(await sends(api.platformKey)).toBe('platform');
    expect(await answers(700)).toEqual({ UNAUTHENTICATED: 499, RATE_LIMITED: 201 });
    // What was found is looked up anew, as it is true for so long only.
    nowMs = 2_000;
    expect(await answers(501)).toEqual({ UNAUTHENTICATED: 500, RATE_LIMITED: 1 });
    expect(await sends(api.platformKey)).toBe('platform');
    nowMs = 2_100;
    expect(await answers(51)).toEqual({ UNAUTHENTICATED: 50, RATE_LIMITED: 1 });
  } finally {
    await db.close();
  }
});

test('who is told to drain is unready first, answers for a while, and keeps no connection', async () => {
  const slow = await ApiProcess.start(await server.createDatabase('drain'), { DRAIN_DELAY_MS: '700' });
  const { hostname, port } = new URL(slow.url);
  const agent = new Agent({ keepAlive: true });
  const get = (path: string) =>
    new Promise<{ status: number; connection: string | undefined }>((resolve, reject) => {
      rawRequest({ hostname, port, path, agent }, (answer) => {
        answer.resume();
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, connection: answer.headers.connection }),
        );
      })
        .on('error', reject)
        .end();
    });
  expect(await get('/readyz')).toEqual({ status: 200, connection: 'keep-alive' });
  const started = performance.now();
  const ended = slow.signal('SIGTERM');
  while ((await get('/readyz')).status === 200);
  expect(await get('/openapi.json')).toEqual({ status: 200, connection: 'close' });
  expect(await ended).toBe(0);
  expect(performance.now() - started).toBeGreaterThan(600);
  agent.destroy();
  await slow.stop();
});

test('/readyz does not say to strangers why the database is away', async () => {
  await server.stop();
  const answer = await raw('/readyz');
  expect([answer.status, JSON.parse(answer.body)]).toEqual([503, { status: 'database unavailable' }]);
});
