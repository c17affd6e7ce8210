import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FeedReader } from './feed-client.ts';
import { type ApiProcess, type Stage, startStage, TestOperator, until } from './link-stage.ts';
import { startLinkedApi } from './support/linked-api.ts';

let stage: Stage;
let api: ApiProcess;
beforeAll(async () => {
  stage = await startStage('link');
  api = await stage.startApi({ pollMs: 200 });
});
afterAll(() => stage?.stop());

const problemOf = async (answer: Response) => {
  const { requestId: _, ...problem } = (await answer.json()) as Record<string, unknown>;
  return { ...problem, status: answer.status } as Record<string, unknown>;
};

test('a joined operator learns its data plane, its key id and the keys that sign rows', async () => {
  const dataPlaneId = await stage.createDataPlane();
  const operator = await TestOperator.joined(stage, api, dataPlaneId);
  expect(operator.identity).toMatchObject({ dataPlaneId, signingKeys: stage.signer.publicKeys() });
  const { rows } = await stage.admin.query('SELECT * FROM felucca.data_planes WHERE id = $1', [dataPlaneId]);
  expect(rows[0]).toMatchObject({ operator_version: '0.0.0' });
  expect(rows[0].joined_at).toBeInstanceOf(Date);
  const audit = await stage.admin.query(
    "SELECT actor, detail FROM felucca.audit WHERE action = 'data-plane.join' AND detail ->> 'key' = $1",
    [operator.identity?.keyId],
  );
  expect(audit.rows).toMatchObject([
    { actor: expect.stringMatching(/^join-token:[0-9a-f]{32}$/), detail: { instance: 'test-0' } },
  ]);
});

// Invariant L25.
test('of 50 operators that race for one token exactly one wins', async () => {
  const dataPlaneId = await stage.createDataPlane();
  const token = await stage.createJoinToken(dataPlaneId);
  const answers = await Promise.all(Array.from({ length: 50 }, () => new TestOperator().join(api, token)));
  const statuses = answers.map((answer) => answer.status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(1);
  expect(statuses.filter((status) => status === 401)).toHaveLength(49);
  const { rows } = await stage.admin.query('SELECT id FROM felucca.operator_keys WHERE data_plane_id = $1', [
    dataPlaneId,
  ]);
  expect(rows).toHaveLength(1);
});

// Invariant L25.
test('a cluster that is one data plane does not become another, and the token stays good', async () => {
  const [own, other] = [await stage.createDataPlane(), await stage.createDataPlane()];
  const operator = await TestOperator.joined(stage, api, own);
  const token = await stage.createJoinToken(other);
  const owner = await TestOperator.joined(stage, api, other);
  const { rows } = await stage.admin.query('SELECT id, name FROM felucca.data_planes WHERE id = ANY($1)', [
    [own, other],
  ]);
  const nameOf = (id: string): string => rows.find((row) => row.id === id).name;
  const anew = new TestOperator();
  expect(await problemOf(await anew.join(api, token, own))).toMatchObject({
    status: 409,
    code: 'CONFLICT',
    detail: expect.stringContaining(
      `is for data plane ${nameOf(other)}, and the cluster of this operator is ${nameOf(own)}`,
    ),
  });
  expect((await anew.join(api, token, randomUUID())).status).toBe(409);
  const keys = await stage.admin.query(
    'SELECT id, revoked_at FROM felucca.operator_keys WHERE data_plane_id = $1',
    [other],
  );
  expect(keys.rows).toEqual([{ id: owner.identity?.keyId, revoked_at: null }]);
  expect((await new TestOperator().join(api, token, other)).status).toBe(200);
  expect((await new TestOperator().join(api, await stage.createJoinToken(own), own)).status).toBe(200);
  expect(operator.dataPlaneId).toBe(own);
});

test('unknown, expired and used tokens get one and the same answer, with a remedy', async () => {
  const dataPlaneId = await stage.createDataPlane();
  const used = await stage.createJoinToken(dataPlaneId);
  expect((await new TestOperator().join(api, used)).status).toBe(200);
  const expired = await stage.createJoinToken(dataPlaneId, -1);
  const wrongSecret = `${(await stage.createJoinToken(dataPlaneId)).slice(0, 36)}${'A'.repeat(43)}`;
  const unknown = `fj_${randomUUID().replaceAll('-', '')}_${'A'.repeat(43)}`;
  const problems = [];
  for (const token of [used, expired, wrongSecret, unknown, 'nonsense'])
    problems.push(await problemOf(await new TestOperator().join(api, token)));
  expect(problems[0]).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' });
  expect(problems[0]?.['detail']).toContain('Create a new one');
  for (const problem of problems) expect(problem).toEqual(problems[0]);
});

describe('a join token that is not used', () => {
  const TOKENS = '/v1/data-planes/dp/join-tokens';
  let linked: Awaited<ReturnType<typeof startLinkedApi>>;
  beforeAll(async () => {
    linked = await startLinkedApi('join-tokens');
  });
  beforeEach(() => linked.database.query('DELETE FROM felucca.join_tokens WHERE used_at IS NULL'));
  afterAll(() => linked?.stop());

  const create = async (): Promise<{ token: string; id: string; expiresAt: string }> => {
    const { body } = await linked.api.call('POST', TOKENS, {});
    return { ...body, id: body.token.slice(3, 35) };
  };
  const listed = async (): Promise<{ id: string }[]> => (await linked.api.call('GET', TOKENS)).body.items;
  const revoke = (id: string) => linked.api.call('DELETE', `${TOKENS}/${id}`);
  const join = (token: string) => new TestOperator().join(linked.api, token);

  test('is listed without its secret until somebody has joined with it, or its time is over', async () => {
    const [used, expired, good] = [await create(), await create(), await create()];
    expect(await listed()).toEqual([
      { id: good.id, createdAt: expect.any(String), expiresAt: good.expiresAt },
      expect.objectContaining({ id: expired.id }),
      expect.objectContaining({ id: used.id }),
    ]);
    expect((await join(used.token)).status).toBe(200);
    await linked.database.query('UPDATE felucca.join_tokens SET expires_at = now() WHERE id = $1', [
      expired.id,
    ]);
    expect(await listed()).toMatchObject([{ id: good.id }]);
  });

  test('is listed page by page, for its own data plane', async () => {
    await linked.api.call('POST', '/v1/data-planes', { name: 'other' });
    const other = '/v1/data-planes/other/join-tokens';
    for (let n = 0; n < 3; n++) await linked.api.call('POST', other, {});
    const first = (await linked.api.call('GET', `${other}?limit=2`)).body;
    const rest = (await linked.api.call('GET', `${other}?limit=2&cursor=${first.nextCursor}`)).body;
    const ids = [...first.items, ...rest.items].map(({ id }) => id);
    expect(ids).toEqual([...new Set(ids)].sort().reverse());
    expect([first.items.length, rest.items.length, rest.nextCursor]).toEqual([2, 1, undefined]);
    expect(await listed()).toEqual([]);
    // By another data plane's name it is not found either.
    expect((await revoke(ids[0])).status).toBe(404);
  });

  // Invariant L25.
  test('is revoked once: nobody joins with it, it is on no list, and the audit says who did it', async () => {
    const { token, id } = await create();
    const answer = await revoke(id);
    expect([answer.status, answer.body]).toEqual([204, undefined]);
    expect(await listed()).toEqual([]);
    const unknown = `fj_${randomUUID().replaceAll('-', '')}_${'A'.repeat(43)}`;
    const problem = await problemOf(await join(token));
    expect(problem).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' });
    expect(problem).toEqual(await problemOf(await join(unknown)));
    const again = await revoke(id);
    expect([again.status, again.body.code]).toEqual([404, 'NOT_FOUND']);
    const { rows } = await linked.database.query(
      "SELECT actor, action, object FROM felucca.audit WHERE detail ->> 'id' = $1 ORDER BY id",
      [id],
    );
    expect(rows).toEqual(
      ['join-token.create', 'join-token.revoke'].map((action) => ({
        ...{ actor: expect.stringMatching(/^key:/), action, object: 'data-plane/dp' },
      })),
    );
  });

  // Invariant L25.
  test('is revoked or joined with, never both, also when both come at once', async () => {
    const outcomes: number[][] = [];
    for (let n = 0; n < 20; n++) {
      const { token, id } = await create();
      const [joined, revoked] = await Promise.all([join(token), revoke(id)]);
      outcomes.push([joined.status, revoked.status]);
    }
    for (const outcome of outcomes)
      expect([
        [200, 404],
        [401, 204],
      ]).toContainEqual(outcome);
  });

  test('is no longer there to revoke when it was used, and the answer says what to revoke instead', async () => {
    const { token, id } = await create();
    expect((await join(token)).status).toBe(200);
    const answer = await revoke(id);
    expect([answer.status, answer.body.code]).toEqual([404, 'NOT_FOUND']);
    expect(answer.body.detail).toContain('/v1/data-planes/dp/operator-keys');
  });

  test('is named by its id: a whole token is refused, and not repeated', async () => {
    const { token, id } = await create();
    const answer = await revoke(token);
    expect([answer.status, answer.body.code]).toEqual([422, 'INVALID']);
    expect(JSON.stringify(answer.body)).not.toContain(token.slice(36));
    expect((await revoke(id)).status).toBe(204);
  });

  test('is for people of the platform', async () => {
    const { id } = await create();
    const { body } = await linked.api.call('POST', '/v1/organizations/acme/api-keys', { name: 'tenant' });
    for (const [method, path] of [
      ['GET', TOKENS],
      ['DELETE', `${TOKENS}/${id}`],
      ['POST', TOKENS],
    ] as const)
      expect((await linked.api.call(method, path, undefined, {}, body.key)).status).toBe(403);
    expect(await listed()).toMatchObject([{ id }]);
  });
});

test('who can write to the database joins with no token of their own, and with none of another data plane', async () => {
  const dataPlaneId = await stage.createDataPlane();
  const id = randomUUID();
  const secret = randomBytes(32).toString('base64url');
  await stage.admin.query(
    `INSERT INTO felucca.join_tokens (id, data_plane_id, secret_hash, expires_at)
     VALUES ($1, $2, $3, now() + interval '1 hour')`,
    [id, dataPlaneId, createHash('sha256').update(secret).digest()],
  );
  const forged = `fj_${id.replaceAll('-', '')}_${secret}`;
  expect((await new TestOperator().join(api, forged)).status).toBe(401);

  const lent = await stage.createJoinToken(await stage.createDataPlane());
  await stage.admin.query('UPDATE felucca.join_tokens SET data_plane_id = $2 WHERE id = $1', [
    lent.slice(3, 35),
    dataPlaneId,
  ]);
  expect((await new TestOperator().join(api, lent)).status).toBe(401);
});

// Invariant L25.
test('the same operator may repeat a join whose answer got lost', async () => {
  const token = await stage.createJoinToken(await stage.createDataPlane());
  const operator = new TestOperator();
  const first = await (await operator.join(api, token)).json();
  const again = await operator.join(api, token);
  expect(again.status).toBe(200);
  expect(await again.json()).toEqual(first);
});

// Invariant L27.
test('a second join rotates: both keys work during the overlap, then the old one ends', async () => {
  const dataPlaneId = await stage.createDataPlane();
  const old = await TestOperator.joined(stage, api, dataPlaneId);
  const fresh = await TestOperator.joined(stage, api, dataPlaneId);
  for (const operator of [old, fresh]) {
    const reader = await FeedReader.open(api, operator, undefined, { wait: 0 });
    expect(reader.status).toBe(200);
  }
  const { rows } = await stage.admin.query<{ id: string; seconds: number | null }>(
    `SELECT id, extract(epoch FROM revoked_at - now())::int AS seconds FROM felucca.operator_keys
     WHERE data_plane_id = $1`,
    [dataPlaneId],
  );
  expect(rows.find((row) => row.id === fresh.identity?.keyId)?.seconds).toBeNull();
  expect(rows.find((row) => row.id === old.identity?.keyId)?.seconds).toBeGreaterThan(200);
});

// Invariant L27.
test('a revoked key is refused within seconds, its open stream ends, and it cannot join again', async () => {
  const dataPlaneId = await stage.createDataPlane();
  const operator = await TestOperator.joined(stage, api, dataPlaneId);
  const reader = await FeedReader.open(api, operator);
  expect(reader.hello.mode).toBe('reset');
  await stage.admin.query('UPDATE felucca.operator_keys SET revoked_at = now() WHERE id = $1', [
    operator.identity?.keyId,
  ]);
  expect(await reader.frame('error')).toMatchObject({ code: 'REVOKED', retryable: false });
  await until('the key cache has forgotten the key', async () => {
    const again = await FeedReader.open(api, operator);
    again.close();
    return again.status === 401;
  });
  const token = await stage.createJoinToken(dataPlaneId);
  const refused = await operator.join(api, token);
  const problem = await problemOf(refused);
  expect(problem).toMatchObject({ status: 409, code: 'CONFLICT' });
  // To delete the Secret with the key would lose the keys of sealed values.
  expect(problem['detail']).toMatch(/new join token/);
  expect(problem['detail']).not.toMatch(/delete/i);
  expect((await new TestOperator().join(api, token)).status).toBe(200);
});

// Invariant L22.
test('a key of one data plane opens no other', async () => {
  const operator = await TestOperator.joined(stage, api, await stage.createDataPlane());
  const other = await stage.createDataPlane();
  const path = `/v1/data-planes/${other}/sync`;
  const answer = await fetch(`${api.url}${path}?proto=1`, {
    headers: { authorization: await operator.authorization('GET', path) },
  });
  expect(answer.status).toBe(404);
});

test('another protocol version is told to upgrade', async () => {
  const operator = await TestOperator.joined(stage, api, await stage.createDataPlane());
  const path = `/v1/data-planes/${operator.dataPlaneId}/sync`;
  const answer = await fetch(`${api.url}${path}?proto=2`, {
    headers: { authorization: await operator.authorization('GET', path) },
  });
  expect(answer.status).toBe(426);
  expect(await problemOf(answer)).toMatchObject({ code: 'PROTOCOL_VERSION' });
});

// Invariant L26.
test('every flawed credential gets the same 401', async () => {
  const operator = await TestOperator.joined(stage, api, await stage.createDataPlane());
  const path = `/v1/data-planes/${operator.dataPlaneId}/sync`;
  const now = Math.floor(Date.now() / 1_000);
  const sign = (claims: Record<string, unknown>) => operator.authorization('GET', path, claims);
  const good = await sign({});
  const stranger = new TestOperator();
  stranger.identity = operator.identity;
  const hmac = await new SignJWT({ htm: 'GET', htu: path, jti: randomUUID() })
    .setProtectedHeader({ alg: 'HS256', kid: operator.identity?.keyId ?? '' })
    .setIssuer(operator.dataPlaneId)
    .setAudience('felucca-control-api')
    .setIssuedAt()
    .sign(createHash('sha256').update(operator.publicKey).digest());
  const [header = '', body = ''] = good.slice('Felucca '.length).split('.');
  const none = Buffer.from(JSON.stringify({ alg: 'none', kid: operator.identity?.keyId })).toString(
    'base64url',
  );
  const flawed: Record<string, string> = {
    nothing: '',
    'another scheme': good.replace('Felucca', 'Bearer'),
    'another path': await sign({ htu: `/v1/data-planes/${operator.dataPlaneId}/reports` }),
    'another method': await sign({ htm: 'POST' }),
    'another audience': await sign({ aud: 'somebody-else' }),
    'another issuer': await sign({ iss: randomUUID() }),
    expired: await sign({ iat: now - 125 }),
    'from the future': await sign({ iat: now + 65 }),
    'without a jti': await sign({ jti: undefined }),
    'signed by a stranger': await stranger.authorization('GET', path),
    'signed with HMAC': `Felucca ${hmac}`,
    unsigned: `Felucca ${none}.${body}.`,
    'cut off': `Felucca ${header}.${body}.AAAA`,
  };
  const answers = new Map<string, unknown>();
  for (const [flaw, authorization] of Object.entries(flawed)) {
    const answer = await fetch(`${api.url}${path}?proto=1&wait=0`, { headers: { authorization } });
    answers.set(flaw, await problemOf(answer));
  }
  for (const [flaw, problem] of answers) expect(problem, flaw).toEqual(answers.get('nothing'));
  expect(answers.get('nothing')).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' });

  const once = await fetch(`${api.url}${path}?proto=1&wait=0`, { headers: { authorization: good } });
  expect(once.status).toBe(200);
  await once.text();
  const replayed = await fetch(`${api.url}${path}?proto=1&wait=0`, { headers: { authorization: good } });
  expect(replayed.status).toBe(401);
});

// Invariant L31.
test('a flood of joins is slowed down before it reaches the database', async () => {
  // Time stands still: how many a second reach the database is not a matter of how fast this machine is.
  let nowMs = 0;
  const still = await stage.startApi({}, {}, () => nowMs);
  const token = `fj_${randomUUID().replaceAll('-', '')}_${'A'.repeat(43)}`;
  const answers = async (count: number) => {
    const all = await Promise.all(Array.from({ length: count }, () => new TestOperator().join(still, token)));
    const refused = all.filter(({ status }) => status === 429);
    expect(refused.every(({ headers }) => headers.get('retry-after') === '1')).toBe(true);
    return { 401: all.filter(({ status }) => status === 401).length, 429: refused.length };
  };
  expect(await answers(120)).toEqual({ 401: 100, 429: 20 });
  // The bucket fills again for those who come after.
  nowMs = 50;
  expect(await answers(8)).toEqual({ 401: 5, 429: 3 });
  await still.stop();
});
