import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from './link-stage.ts';
import { startLinkedApi } from './support/linked-api.ts';

let linked: Awaited<ReturnType<typeof startLinkedApi>>;
const KEYS = '/v1/data-planes/dp/operator-keys';
beforeAll(async () => {
  linked = await startLinkedApi('operator-keys');
});
afterAll(() => linked?.stop());

// Invariant L27.
test('a stolen key is listed, revoked by its id, refused within seconds, and the audit says who did it', async () => {
  const { api, operator, reader, database } = linked;
  const keyId = operator.identity!.keyId;
  const { items } = (await api.call('GET', KEYS)).body;
  expect(items).toMatchObject([{ id: keyId, publicKey: expect.any(String), joinedAt: expect.any(String) }]);
  expect(items[0]).not.toHaveProperty('revokedAt');
  expect((await linked.report({})).status).toBe(200);

  const nobody = await api.call('POST', `${KEYS}/ok_of-nobody/revoke`);
  expect([nobody.status, nobody.body.code]).toEqual([404, 'NOT_FOUND']);
  const answer = await api.call('POST', `${KEYS}/${keyId}/revoke`);
  expect([answer.status, answer.body]).toEqual([200, { revoked: keyId }]);
  expect(await reader.frame('error')).toMatchObject({ code: 'REVOKED', retryable: false });
  await until('its reports are refused', async () => (await linked.report({})).status === 401, 15_000);

  const [first] = (await api.call('GET', KEYS)).body.items;
  expect((await api.call('POST', `${KEYS}/${keyId}/revoke`)).status).toBe(200);
  const [again] = (await api.call('GET', KEYS)).body.items;
  expect(again.revokedAt).toBe(first.revokedAt);
  const { rows } = await database.query(
    "SELECT object, detail FROM felucca.audit WHERE action = 'operator-key.revoke'",
  );
  expect(rows[0]).toEqual({ object: 'data-plane/dp', detail: { key: keyId } });
});

test('is for people of the platform', async () => {
  const { api } = linked;
  const made = await api.call('POST', '/v1/organizations/acme/api-keys', { name: 'tenant' });
  for (const [method, path] of [
    ['GET', KEYS],
    ['POST', `${KEYS}/ok_x/revoke`],
  ] as const)
    expect((await api.call(method, path, undefined, {}, made.body.key)).status).toBe(403);
});

test('a join token needs no body', async () => {
  const reply = await fetch(`${linked.api.url}/v1/data-planes/dp/join-tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${linked.api.platformKey}` },
  });
  expect(reply.status).toBe(201);
  expect(((await reply.json()) as { token: string }).token).toMatch(/^fj_/);
});
