import type { Stack } from '@felucca/dev/stack';
import { expect, test } from 'vitest';
import { ApiClient } from './api-client.ts';
import { Actor } from './stack.ts';

/** Bad input gets an error that names the field, the reason and the remedy; nothing is half done. */
export function refusalJourney(stack: () => Stack): void {
  const platform = () => new ApiClient(stack().apiUrl, stack().platformKey);

  test('a Blueprint with an unknown reference is refused with its path', async () => {
    const reply = await platform().call('POST', '/v1/blueprints', {
      name: 'broken',
      version: '1.0.0',
      parameters: { type: 'object', properties: {} },
      nodes: [
        {
          id: 'config',
          manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { value: '${params.nowhere}' } },
        },
      ],
    });
    expect(reply.status).toBe(422);
    expect(reply.headers.get('content-type')).toContain('application/problem+json');
    expect(reply.body.errors[0].pointer).toContain('/nodes/0/manifest/data/value');
    expect(JSON.stringify(reply.body.errors[0])).toContain('nowhere');
  });

  test('parameters that break the schema are refused with a pointer to each', async () => {
    const acme = await Actor.join(stack(), 'badparams');
    const reply = await acme.api.call('POST', '/v1/organizations/badparams/instances', {
      name: 'site',
      dataPlane: stack().dataPlane.name,
      blueprint: 'web',
      version: '1.0.0',
      parameters: { message: 'x', replicas: 'many' },
    });
    expect(reply.status).toBe(422);
    expect(reply.body.errors.map((error: { pointer: string }) => error.pointer)).toContain(
      '/parameters/replicas',
    );
  });

  test('an unknown data plane is named', async () => {
    const acme = await Actor.join(stack(), 'noplane');
    const reply = await acme.api.call('POST', '/v1/organizations/noplane/instances', {
      name: 'site',
      dataPlane: 'atlantis',
      blueprint: 'web',
      version: '1.0.0',
      parameters: { message: 'x' },
    });
    expect(reply.status).toBeGreaterThanOrEqual(400);
    expect(JSON.stringify(reply.body)).toContain('atlantis');
  });

  test('a join token works once', async () => {
    const plane = await platform().ok('POST', '/v1/data-planes', { name: 'second' });
    const { token } = await platform().ok('POST', `/v1/data-planes/${plane.id}/join-tokens`, {});
    const join = (x: string) =>
      platform().call('POST', '/v1/join', { token, publicKey: x, instance: 'e2e', operatorVersion: '0.0.0' });
    expect((await join('A'.repeat(43))).status).toBe(200);
    const again = await join('B'.repeat(43));
    expect(again.status).toBe(401);
    expect(again.body.detail).toMatch(/token/);
  });

  test("another organization's Instance looks exactly like one that does not exist", async () => {
    const one = await Actor.join(stack(), 'mine');
    const two = await Actor.join(stack(), 'yours');
    await one.order('secret-site', { message: 'x', replicas: 1 });
    const foreign = await two.api.call('GET', one.path('secret-site'));
    const missing = await two.api.call('GET', one.path('no-such-site'));
    expect(foreign.status).toBe(404);
    const comparable = (body: Record<string, unknown>) => ({ ...body, requestId: '' });
    expect(comparable(foreign.body)).toEqual(comparable(missing.body));
  });
}
