import { createHash, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { canonicalJson, isSealed, sealedHeaderSchema, sealingKeyId, unpadded } from '@felucca/contract';
import { everyTable, tracesOf } from '@felucca/dev/traces';
import { compactDecrypt } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLinkedApi } from './support/linked-api.ts';

const canary = (): string => `canary-${randomBytes(12).toString('hex')}/+ "é`;
const FIRST = canary();
const SECOND = canary();
/** Sent where a value does not fit. */
const WRONG = canary();

const blueprint = (version = '1.0.0') => ({
  name: 'vault',
  version,
  parameters: {
    type: 'object',
    required: ['password'],
    properties: {
      size: { type: 'integer', default: 1 },
      password: { type: 'string', sensitive: true, minLength: 8, maxLength: 64 },
      users: {
        type: 'array',
        items: {
          type: 'object',
          properties: { name: { type: 'string' }, key: { type: 'string', sensitive: true } },
        },
      },
    },
  },
  nodes: [
    {
      id: 'secret',
      manifest: { apiVersion: 'v1', kind: 'Secret', stringData: { url: 'pg://u:${params.password}@db' } },
    },
    {
      id: 'config',
      manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { a: '${string(params.size)}' } },
    },
  ],
});

let stage: Awaited<ReturnType<typeof startLinkedApi>>;
const answers: string[] = [];
/** Of a request with a short password one could try them all. */
const requestHashes: string[] = [];
beforeAll(async () => {
  stage = await startLinkedApi('sealed');
  expect((await call('POST', '/v1/blueprints', blueprint())).status).toBe(201);
});
afterAll(() => stage?.stop());

async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const answer = await stage.api.call(method, path, body, headers);
  requestHashes.push(
    createHash('sha256')
      .update(`${method} ${path}\n${canonicalJson(body ?? null)}`)
      .digest('hex'),
  );
  answers.push(JSON.stringify([answer.body, [...answer.headers]]));
  return answer;
}
const INSTANCES = '/v1/organizations/acme/instances';
const order = (name: string, parameters: unknown, query = '', headers = {}) =>
  call(
    'POST',
    INSTANCES + query,
    // All of it, so that the API adds nothing to what is hashed below.
    {
      name,
      dataPlane: 'dp',
      blueprint: 'vault',
      version: '1.0.0',
      parameters,
      suspend: false,
      deletionPolicy: 'Delete',
    },
    headers,
  );
const patch = (change: object, query = '', name = 'db') =>
  call('PATCH', `${INSTANCES}/${name}${query}`, change, {
    'if-match': '*',
    'content-type': 'application/merge-patch+json',
  });
const shown = async (name = 'db') => (await call('GET', `${INSTANCES}/${name}`)).body;
/** As the database keeps them. */
const kept = async (name = 'db') =>
  (await stage.database.query('SELECT parameters FROM felucca.instances WHERE name = $1', [name])).rows[0]
    .parameters;

function sealingKey(): { privateKey: KeyObject; x: string } {
  const { privateKey, publicKey } = generateKeyPairSync('x25519');
  return { privateKey, x: publicKey.export({ format: 'jwk' }).x ?? '' };
}
const key = sealingKey();
const tell = async (x: string) => expect((await stage.report({ sealingKey: x })).status).toBe(200);
const SEALED = { sealed: expect.stringMatching(/^[\w-]{22}$/) as string };

test('an order with a sensitive value waits for a key of its data plane, and says so', async () => {
  const { status, body } = await order('db', { password: FIRST });
  expect([status, body.code]).toEqual([409, 'CANNOT_SEAL']);
  expect(body.errors).toEqual([
    {
      pointer: '/parameters/password',
      message: expect.stringContaining('has not told a key yet') as string,
      remedy: expect.stringContaining('wait until') as string,
    },
  ]);
  expect((await order('db', { password: FIRST }, '?dryRun=true')).status).toBe(409);
});

// Invariant L36.
test('an operator that joined before it had a key tells it with its reports', async () => {
  await tell(key.x);
  await tell(key.x);
  const { link } = (await call('GET', '/v1/data-planes/dp')).body;
  expect(link.sealingKeyId).toBe(sealingKeyId(key.x));
  const { rows } = await stage.database.query(
    "SELECT detail FROM felucca.audit WHERE action = 'data-plane.sealing-key'",
  );
  expect(rows).toEqual([{ detail: { keyId: sealingKeyId(key.x) } }]);
});

describe('a sensitive value', () => {
  test('is sealed to the data plane, for its Instance and its place', async () => {
    const headers = { 'idempotency-key': 'once' };
    const ordered = await order('db', { password: FIRST, users: [{ name: 'a', key: SECOND }] }, '', headers);
    expect(ordered.status).toBe(202);
    const view = { size: 1, password: SEALED, users: [{ name: 'a', key: SEALED }] };
    expect(ordered.body.parameters).toEqual(view);
    expect((await shown()).parameters).toEqual(view);
    const again = await order('db', { password: FIRST, users: [{ name: 'a', key: SECOND }] }, '', headers);
    expect(again.body).toEqual(ordered.body);

    const { parameters } = (
      await stage.database.query(
        "SELECT spec FROM felucca.desired WHERE kind = 'Instance' AND key = 'acme/db'",
      )
    ).rows[0].spec;
    for (const [value, parameter, plain] of [
      [parameters.password, '/password', FIRST],
      [parameters.users[0].key, '/users/0/key', SECOND],
    ]) {
      expect(isSealed(value)).toBe(true);
      const { plaintext, protectedHeader } = await compactDecrypt(value.sealed, key.privateKey);
      expect(unpadded(plaintext)).toBe(plain);
      expect(plaintext.length % 64).toBe(0);
      expect(sealedHeaderSchema.parse(protectedHeader)).toMatchObject({
        kid: sealingKeyId(key.x),
        context: { dataPlane: stage.operator.dataPlaneId, instance: ordered.body.id, parameter },
      });
    }
  });

  test('stays as it was sealed when what GET shows is sent back, and when it is sent again', async () => {
    const before = await kept();
    const { parameters, generation } = await shown();
    for (const same of [parameters, { password: FIRST }, {}])
      expect([same, (await patch({ parameters: same })).status]).toEqual([same, 200]);
    expect((await patch({ parameters: { ...parameters, size: 2 } })).body.generation).toBe(generation + 1);
    expect((await patch({ suspend: true })).status).toBe(202);
    expect(await kept()).toEqual({ ...before, size: 2 });
  });

  test('becomes another one, and a dry run tells which child changes', async () => {
    const { password } = await kept();
    const plan = await patch({ parameters: { password: SECOND } }, '?dryRun=true');
    expect(plan.body).toMatchObject({ parameters: { password: SEALED } });
    expect(plan.body.children.map(({ child, effect }: Record<string, string>) => [child, effect])).toEqual([
      ['Secret/db-secret', 'inPlace'],
      ['ConfigMap/db-config', 'unchanged'],
    ]);
    expect((await kept()).password).toEqual(password);
    expect((await patch({ parameters: { password: SECOND } })).status).toBe(202);
    expect((await kept()).password).not.toEqual(password);
  });

  test('is not taken from another place, by its name or sealed', async () => {
    const { parameters } = await shown();
    const { password } = await kept();
    for (const wrong of [parameters.users[0].key, password, { sealed: 'x' }, { sealed: true }]) {
      const { status, body } = await patch({ parameters: { password: wrong } });
      expect([status, body.errors[0].pointer]).toEqual([422, '/parameters/password']);
    }
    expect((await order('other', { password: parameters.password })).status).toBe(422);
    expect((await kept()).password).toEqual(password);
  });

  test('that does not fit is refused without being told', async () => {
    for (const wrong of [
      { password: WRONG.repeat(3) },
      { password: [WRONG] },
      { password: { value: WRONG } },
      { password: { secretRef: { name: WRONG, key: WRONG } } },
      { password: 'longer than 8', users: WRONG },
      { password: 'longer than 8', users: [WRONG] },
      WRONG,
    ])
      expect([wrong, (await order('wrong', wrong)).status]).toEqual([wrong, 422]);
    expect((await call('POST', INSTANCES, `{"parameters": {"password": "${WRONG}" oops`)).status).toBe(400);
    expect((await patch({ parameters: { password: 'short' } })).body.errors).toEqual([
      {
        pointer: '/parameters/password',
        message: 'must have at least 8 characters',
        remedy: 'lengthen the value',
      },
    ]);
  });

  test('is one of at most 64', async () => {
    const users = Array.from({ length: 64 }, () => ({ key: WRONG }));
    const { status, body } = await order('many', { password: FIRST, users });
    expect([status, body.errors[0].message]).toEqual([
      422,
      'hold 65 sensitive values, at most 64 are possible',
    ]);
  });

  test('is sealed anew when it is sent again after the key was rotated', async () => {
    const { parameters, generation } = await shown();
    await tell(sealingKey().x);
    expect((await patch({ parameters })).status).toBe(200);
    expect((await patch({ parameters: { password: SECOND } })).body.generation).toBe(generation + 1);
    expect((await patch({ parameters: { password: SECOND } })).status).toBe(200);
  });
});

// Invariant L37.
test('nothing is sealed to a key that only the database says is the operator’s', async () => {
  await stage.database.query('UPDATE felucca.data_planes SET sealing_key = $1', [sealingKey().x]);
  const { status, body } = await patch({ parameters: { password: FIRST } });
  expect([status, body.code, body.errors[0].message]).toEqual([
    409,
    'CANNOT_SEAL',
    expect.stringContaining('not one that its operator told'),
  ]);
  await tell(key.x);
  expect((await patch({ parameters: { password: FIRST } })).status).toBe(202);
});

// Invariant L36.
test('no trace of a value is in the database, the log, the metrics, the feed or any answer', async () => {
  for (const path of ['', '/desired', '/observed', '/drift']) await call('GET', `${INSTANCES}/db${path}`);
  await call('GET', INSTANCES);
  await call('GET', '/v1/organizations/acme/operations');
  const texts = await everyTable(stage.databaseUrl);
  expect(texts.get('felucca.idempotency_keys')).toContain('once');
  texts.set('log', stage.api.log);
  texts.set('metrics', await (await fetch(`${stage.api.url}/metrics`)).text());
  await stage.reader.settled(
    BigInt((await stage.database.query('SELECT head FROM felucca.feed_heads')).rows[0].head),
  );
  texts.set('feed', JSON.stringify(stage.reader.frames));
  texts.set('answers', answers.join('\n'));
  // So that it is known to look: in each there is the sealed form.
  const { sealed } = (await kept()).password;
  expect(
    [...texts]
      .filter(([, text]) => text.includes(sealed))
      .map(([name]) => name)
      .sort(),
  ).toEqual(['feed', 'felucca.desired', 'felucca.instances']);
  expect(tracesOf([FIRST, SECOND, WRONG, ...requestHashes], texts)).toEqual([]);
});
