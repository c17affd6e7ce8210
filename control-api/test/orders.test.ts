import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  acmeKey,
  api,
  database,
  instances,
  order,
  patch,
  rivalKey,
  startResources,
  stopResources,
} from './support/resources-stage.ts';
import { tinyBlueprint } from './support/tiny-blueprint.ts';

beforeAll(() => startResources('orders'));
afterAll(stopResources);

describe('ordering', () => {
  test('an order answers 202 with its operation, its ETag and the defaults it was given', async () => {
    const reply = await order('first', { parameters: { text: 'hi' } });
    expect(reply.status).toBe(202);
    expect(reply.body).toMatchObject({
      generation: 1,
      parameters: { text: 'hi', count: 1, zone: 'a' },
      operation: { kind: 'create', state: 'accepted' },
    });
    expect(reply.headers.get('location')).toBe(
      `/v1/organizations/acme/operations/${reply.body.operation.id}`,
    );
    const read = await api.call('GET', `${instances}/first`, undefined, {}, acmeKey);
    expect(read.headers.get('etag')).toBe(reply.headers.get('etag'));
  });

  test('row, desired rows, operation and audit entry are there together', async () => {
    const { body } = await order('whole');
    const count = async (sql: string) => (await database.query(sql, [body.id])).rows[0].n;
    expect(
      await count("SELECT count(*)::int AS n FROM felucca.desired WHERE id = $1 AND kind = 'Instance'"),
    ).toBe(1);
    expect(await count('SELECT count(*)::int AS n FROM felucca.operations WHERE instance_id = $1')).toBe(1);
    expect(await count("SELECT count(*)::int AS n FROM felucca.audit WHERE detail->>'id' = $1::text")).toBe(
      1,
    );
    const { rows } = await database.query(
      "SELECT kind, count(*)::int AS n FROM felucca.desired WHERE deleted_at IS NULL AND kind <> 'Instance' GROUP BY 1 ORDER BY 1",
    );
    expect(rows).toEqual([
      { kind: 'Blueprint', n: 1 },
      { kind: 'DataPlane', n: 1 },
      { kind: 'Tenant', n: 1 },
    ]);
  });

  test('a dry run says what would be kept, or what is in the way, and keeps nothing', async () => {
    const dryRun = (name: string) =>
      api.call(
        'POST',
        `${instances}?dryRun=true`,
        { name, dataPlane: 'dp', blueprint: 'tiny', version: '1.0.0' },
        {},
        acmeKey,
      );
    const reply = await dryRun('dry');
    expect([reply.status, reply.body.valid]).toEqual([200, true]);
    expect((await api.call('GET', `${instances}/dry`, undefined, {}, acmeKey)).status).toBe(404);
    await order('there');
    const taken = await dryRun('there');
    expect([taken.status, taken.body.detail]).toEqual([409, (await order('there')).body.detail]);
  });

  test('of fifty orders of one name at once exactly one is accepted, and the others say that the name is taken', async () => {
    const replies = await Promise.all(Array.from({ length: 50 }, () => order('race')));
    expect(replies.filter((reply) => reply.status === 202)).toHaveLength(1);
    expect(new Set(replies.filter((reply) => reply.status !== 202).map((reply) => reply.body.code))).toEqual(
      new Set(['NAME_TAKEN']),
    );
  });

  test.each([
    ['an unknown field', { colour: 'red' }, 422, '/colour'],
    ['a bad name', { name: 'Bad_Name' }, 422, '/name'],
    ['an unknown data plane', { dataPlane: 'atlantis' }, 422, '/dataPlane'],
    ['an unknown version', { version: '9.9.9' }, 422, '/version'],
    ['an unknown Blueprint', { blueprint: 'huge' }, 422, '/blueprint'],
    ['a parameter of the wrong type', { parameters: { count: 'many' } }, 422, '/parameters/count'],
    ['a parameter out of range', { parameters: { count: 10 } }, 422, '/parameters/count'],
    ['an unknown parameter', { parameters: { colour: 'red' } }, 422, '/parameters/colour'],
  ])('%s is refused with a pointer to it', async (_what, more, status, pointer) => {
    const reply = await order('refused', more);
    expect([reply.status, reply.headers.get('content-type')]).toEqual([status, 'application/problem+json']);
    expect(reply.body.errors.map((error: { pointer: string }) => error.pointer)).toContain(pointer);
  });

  test('broken JSON, a prototype key and an oversized body are refused without an internal error', async () => {
    const send = (body: string) => api.call('POST', instances, body, {}, acmeKey);
    for (const [body, detail] of [
      ['{"name":', 'The body is not JSON: it ends too early.'],
      ['{"name":"x",\n"size" 1}', 'The body is not JSON: there is a mistake at line 2 column 8.'],
      ['{"name":"hunter2",,}', 'The body is not JSON: there is a mistake at line 1 column 19.'],
      ['{"a":hunter2}', 'The body is not JSON: "h" stands where it cannot.'],
      [
        '{"name":"x","__proto__":{"a":1}}',
        'The body has a field "__proto__" or "constructor"; leave it out.',
      ],
    ] as const) {
      const refused = await send(body);
      expect([refused.status, refused.body.code, refused.body.detail]).toEqual([400, 'MALFORMED', detail]);
    }
    expect((await send(JSON.stringify({ name: 'x'.repeat(2_000_000) }))).status).toBe(413);
  });
});

describe('idempotency', () => {
  test('a repeated request gets the first answer and has no second effect; another body is refused', async () => {
    const headers = { 'idempotency-key': 'order-1' };
    const first = await order('idem', {}, headers);
    const again = await order('idem', {}, headers);
    expect([again.status, again.body, again.headers.get('idempotent-replayed')]).toEqual([
      202,
      first.body,
      'true',
    ]);
    const other = await order('idem', { suspend: true }, headers);
    expect([other.status, other.body.code]).toEqual([422, 'IDEMPOTENCY_MISMATCH']);
  });

  test('ten requests with one key at once have one effect and one answer', async () => {
    const replies = await Promise.all(
      Array.from({ length: 10 }, () => order('idem-race', {}, { 'idempotency-key': 'order-2' })),
    );
    expect(new Set(replies.map((reply) => reply.body.id)).size).toBe(1);
    expect(replies.every((reply) => reply.status === 202)).toBe(true);
  });
});

test('an idempotency key is forgotten after a day', async () => {
  await order('idem-old', {}, { 'idempotency-key': 'old' });
  await database.query(
    "UPDATE felucca.idempotency_keys SET created_at = now() - interval '25 hours' WHERE key = 'old'",
  );
  const again = await order('idem-new', {}, { 'idempotency-key': 'old' });
  expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([202, null]);
  const twin = await order('idem-new', {}, { 'idempotency-key': 'old' });
  expect([twin.status, twin.headers.get('idempotent-replayed')]).toEqual([202, 'true']);
});

describe('changing', () => {
  test('a change needs the current ETag: without one 428, with an old one 412', async () => {
    const { headers } = await order('etag');
    const etag = headers.get('etag') ?? '';
    expect((await api.call('PATCH', `${instances}/etag`, { suspend: true }, {}, acmeKey)).status).toBe(428);
    expect((await patch('etag', { suspend: true }, etag)).status).toBe(202);
    expect((await patch('etag', { suspend: false }, etag)).status).toBe(412);
  });

  test('of twenty changes with one ETag exactly one wins', async () => {
    const { headers } = await order('etag-race');
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        patch('etag-race', { parameters: { text: `t${i}` } }, headers.get('etag') ?? ''),
      ),
    );
    expect(replies.filter((reply) => reply.status === 202)).toHaveLength(1);
    expect(replies.filter((reply) => reply.status === 412)).toHaveLength(19);
  });

  test('a change that changes nothing spends no generation, no operation and no revision', async () => {
    const { headers } = await order('same', { parameters: { text: 'x' } });
    const head = async () => (await database.query('SELECT head FROM felucca.feed_heads')).rows[0].head;
    const before = await head();
    const reply = await patch('same', { parameters: { text: 'x' } }, headers.get('etag') ?? '');
    expect([reply.status, reply.body.generation, await head()]).toEqual([200, 1, before]);
  });

  test('null takes a parameter back to its default, and an immutable one is refused with its name', async () => {
    const { headers } = await order('merge', { parameters: { text: 'x', count: 3 } });
    const reply = await patch('merge', { parameters: { text: null } }, headers.get('etag') ?? '');
    expect(reply.body.parameters).toEqual({ text: 'hello', count: 3, zone: 'a' });
    const refused = await patch('merge', { parameters: { zone: 'b' } }, '*');
    expect([refused.status, refused.body.code, refused.body.errors[0].pointer]).toEqual([
      409,
      'IMMUTABLE',
      '/parameters/zone',
    ]);
  });

  test('an upgrade to another version pins that version on the data plane', async () => {
    await api.call('POST', '/v1/blueprints', tinyBlueprint('1.1.0'));
    const { headers } = await order('upgrade');
    const reply = await patch('upgrade', { version: '1.1.0' }, headers.get('etag') ?? '');
    expect(reply.body).toMatchObject({ version: '1.1.0', generation: 2 });
    const { rows } = await database.query(
      "SELECT key FROM felucca.desired WHERE kind = 'Blueprint' ORDER BY 1",
    );
    expect(rows.map((row) => row.key)).toEqual(['tiny-1-0-0', 'tiny-1-1-0']);
  });

  test('suspend and resume are verbs of their own and idempotent', async () => {
    await order('verbs');
    const verb = (name: string) => api.call('POST', `${instances}/verbs/${name}`, undefined, {}, acmeKey);
    expect((await verb('suspend')).body).toMatchObject({ suspend: true, generation: 2 });
    expect((await verb('suspend')).status).toBe(200);
    expect((await verb('resume')).body).toMatchObject({ suspend: false, generation: 3 });
  });
});

describe('deleting', () => {
  test('a deletion leaves a tombstone with a higher generation, and the name is free for another id', async () => {
    const first = await order('again');
    const gone = await api.call('DELETE', `${instances}/again`, undefined, { 'if-match': '*' }, acmeKey);
    expect(gone.body.operation).toMatchObject({ kind: 'delete', generation: 2 });
    const second = await order('again');
    expect(second.status).toBe(202);
    const { rows } = await database.query(
      "SELECT id, generation::int, deleted_at IS NOT NULL AS dead FROM felucca.desired WHERE key = 'acme/again' ORDER BY rev",
    );
    expect(rows).toEqual([
      { id: first.body.id, generation: 2, dead: true },
      { id: second.body.id, generation: 1, dead: false },
    ]);
  });
});

describe('reading', () => {
  test('pages follow each other without gap or repetition', async () => {
    const seen: string[] = [];
    let cursor = '';
    do {
      const page = await api.call(
        'GET',
        `${instances}?limit=3${cursor ? `&cursor=${cursor}` : ''}`,
        undefined,
        {},
        acmeKey,
      );
      seen.push(...page.body.items.map((item: { name: string }) => item.name));
      cursor = page.body.nextCursor ?? '';
    } while (cursor !== '');
    expect(seen).toEqual([...new Set(seen)].sort());
    expect(seen).toContain('first');
  });

  test("somebody else's Instance and a missing one give the same answer on every route", async () => {
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/desired'],
      ['GET', '/observed'],
      ['GET', '/drift'],
      ['PATCH', ''],
      ['DELETE', ''],
      ['POST', '/suspend'],
    ] as const) {
      const ask = async (name: string) => {
        const reply = await api.call(
          method,
          `${instances}/${name}${path}`,
          method === 'PATCH' ? {} : undefined,
          { 'if-match': '*' },
          rivalKey,
        );
        return { ...reply.body, requestId: '', status: reply.status };
      };
      expect(await ask('first')).toEqual(await ask('no-such'));
    }
  });

  test('the digest of the feed is the XOR of its live rows, in SQL and in TypeScript alike', async () => {
    const { formatDigest, rowDigest } = await import('@felucca/contract');
    const ofPlane = "data_plane_id = (SELECT id FROM felucca.data_planes WHERE name = 'dp')";
    const { rows } = await database.query(
      `SELECT kind, key, id, rev::text, generation::int, hash FROM felucca.desired WHERE deleted_at IS NULL AND ${ofPlane}`,
    );
    const expected = rows.reduce((sum, row) => sum ^ rowDigest(row), 0n);
    const head = (
      await database.query(
        `SELECT digest_a::text AS a, digest_b::text AS b, live_count FROM felucca.feed_heads WHERE ${ofPlane}`,
      )
    ).rows[0];
    const kept = (BigInt.asUintN(64, BigInt(head.a)) << 64n) | BigInt.asUintN(64, BigInt(head.b));
    expect([formatDigest(kept), head.live_count]).toEqual([formatDigest(expected), rows.length]);
  });
});

test('items that cannot become children are refused, on order and on change', async () => {
  const many = { ...tinyBlueprint(), name: 'many' };
  Object.assign(many.parameters.properties, { names: { type: 'array', items: { type: 'string' } } });
  Object.assign(many.nodes[0] as object, { forEach: '${params.names}' });
  expect((await api.call('POST', '/v1/blueprints', many)).status).toBe(201);
  const names = (...list: string[]) => ({ parameters: { names: list } });
  const twice = await order('items', { blueprint: 'many', ...names('a', 'a') });
  expect([twice.status, twice.body.errors]).toMatchObject([
    422,
    [{ pointer: '/parameters', message: expect.stringContaining('"a" of node "config" is there twice') }],
  ]);
  const { status, headers } = await order('items', { blueprint: 'many', ...names('a', 'b') });
  expect(status).toBe(202);
  expect((await patch('items', names('A b'), headers.get('etag') ?? '')).status).toBe(422);
});
