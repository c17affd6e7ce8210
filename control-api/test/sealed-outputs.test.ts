import { randomBytes } from 'node:crypto';
import { digestOf, outputKeySchema, padded, SEALING, sealingJwk } from '@felucca/contract';
import { everyTable, tracesOf } from '@felucca/dev/traces';
import { CompactEncrypt, importJWK } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLinkedApi } from './support/linked-api.ts';
import { tinyBlueprint } from './support/tiny-blueprint.ts';

const CANARY = `canary-${randomBytes(12).toString('hex')}`;

let stage: Awaited<ReturnType<typeof startLinkedApi>>;
let id = '';
let rivalKey = '';
/** The key of the control plane's outputs. */
let key = '';
let seq = 0;

beforeAll(async () => {
  stage = await startLinkedApi('outputs');
  const { api } = stage;
  const blueprint = {
    ...tinyBlueprint('2.0.0'),
    outputs: {
      password: { value: "${secretRef('secret', 'password')}", sensitive: true },
      text: { value: '${params.text}' },
    },
  };
  (blueprint.nodes as object[]).push({
    id: 'secret',
    generate: [{ key: 'password', length: 20 }],
    manifest: { apiVersion: 'v1', kind: 'Secret' },
  });
  expect((await api.call('POST', '/v1/blueprints', blueprint)).status).toBe(201);
  const order = { name: 'db', dataPlane: 'dp', blueprint: 'tiny', version: '2.0.0' };
  id = (await api.call('POST', '/v1/organizations/acme/instances', order)).body.id;
  await api.call('POST', '/v1/organizations', { name: 'rival' });
  rivalKey = (await api.call('POST', '/v1/organizations/rival/api-keys', { name: 'k' })).body.key;
  key = outputKeySchema.parse((await stage.report({})).body['outputKey']).key;
});
afterAll(() => stage?.stop());

async function sealed(context: object = {}, to = key): Promise<string> {
  return new CompactEncrypt(padded(CANARY))
    .setProtectedHeader({
      ...SEALING,
      kid: 'k',
      context: { dataPlane: stage.operator.dataPlaneId, instance: id, output: 'password', ...context },
    })
    .encrypt(await importJWK(sealingJwk(to), SEALING.alg));
}
const told = (sealedOutputs?: Record<string, string>) => {
  seq += 1;
  return stage.report({
    status: [
      {
        kind: 'Instance',
        key: 'acme/db',
        id,
        local: false,
        generation: 1,
        digest: digestOf({}),
        observedSeq: seq,
        conditions: [],
        outputs: {
          password: { secretRef: { name: 'db-secret', key: 'password' } },
          text: { value: 'hello' },
        },
        ...(sealedOutputs ? { sealedOutputs } : {}),
      },
    ],
  });
};
const reveal = (output = 'password', apiKey?: string) =>
  stage.api.call(
    'POST',
    `/v1/organizations/acme/instances/db/outputs/${output}/reveal`,
    undefined,
    {},
    apiKey,
  );
const reveals = async () =>
  (await stage.database.query("SELECT actor, object, detail FROM felucca.audit WHERE action LIKE '%reveal'"))
    .rows;

// Invariant L38.
test('a sensitive output is opened for whoever may read it, and each time is in the audit', async () => {
  expect((await reveal()).status).toBe(404);
  await told();
  const early = await reveal();
  expect([early.status, early.body.detail]).toEqual([409, expect.stringContaining('with its next reports')]);
  expect((await told({ password: await sealed() })).body).toMatchObject({ accepted: 1, rejected: [] });
  expect((await reveal('password', rivalKey)).status).toBe(404);
  for (const output of ['text', 'nothing']) expect((await reveal(output)).status).toBe(404);
  expect(await reveals()).toEqual([]);
  const { status, body, headers } = await reveal();
  expect([status, body.value, headers.get('cache-control')]).toEqual([200, CANARY, 'no-store']);
  expect(await reveals()).toMatchObject([
    { actor: expect.stringMatching(/^key:/), object: 'instance/db', detail: { id, output: 'password' } },
  ]);
});

test('a status that tells none takes none away, and one that is late changes nothing', async () => {
  const late = { password: await sealed({ output: 'other' }) };
  await told();
  seq -= 5;
  await told(late);
  seq += 5;
  expect((await reveal()).body.value).toBe(CANARY);
});

// Invariant L38.
test.each([
  ['another output', { output: 'other' }],
  ['another Instance', { instance: 'other' }],
  ['another data plane', { dataPlane: 'other' }],
])('what was sealed for %s is not opened', async (_, context) => {
  await told({ password: await sealed(context) });
  expect((await reveal()).status).toBe(409);
});

test('what the Blueprint does not call sensitive is not kept, and what is not sealed is no report', async () => {
  await told({ password: await sealed(), text: await sealed({ output: 'text' }) });
  const { rows } = await stage.database.query(
    "SELECT sealed_outputs FROM felucca.observed WHERE kind = 'Instance'",
  );
  expect(Object.keys(rows[0].sealed_outputs)).toEqual(['password']);
  expect((await told({ password: CANARY })).status).toBe(422);
});

// Invariant L36.
test('no trace of an output is in the database, the log, the metrics or another answer', async () => {
  expect((await reveal()).body.value).toBe(CANARY);
  const texts = await everyTable(stage.databaseUrl);
  texts.set('log', stage.api.log);
  texts.set('metrics', await (await fetch(`${stage.api.url}/metrics`)).text());
  for (const path of ['', '/observed', '/desired']) {
    const { body } = await stage.api.call('GET', `/v1/organizations/acme/instances/db${path}`);
    texts.set(`answer ${path}`, JSON.stringify(body));
  }
  expect(texts.get('felucca.observed')).toContain('eyJ');
  expect(tracesOf([CANARY], texts)).toEqual([]);
});
