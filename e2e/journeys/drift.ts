import type { Stack } from '@felucca/dev/stack';
import { expect, test } from 'vitest';
import { eventually, type Json } from './api-client.ts';
import { Actor } from './stack.ts';

/** Somebody changes what Felucca owns: it is set back, recorded and visible. */
export function driftJourney(stack: () => Stack): void {
  test('an edited child is set back and the API shows what was changed, by whom and what we did', async () => {
    const acme = await Actor.join(stack(), 'drift');
    await acme.order('site', { message: 'x', replicas: 1 });
    await acme.ready('site');
    await acme.kubectl('scale', 'deployment/site-web', '-n', acme.namespace, '--replicas=3');
    await eventually(
      'replicas are set back',
      async () => (await acme.object('deployment', 'site-web'))?.spec.replicas === 1,
    );
    const drift = await eventually('the drift is in the API', async () => {
      const list = await acme.api.ok('GET', `${acme.path('site')}/drift`);
      return list.items.find((item: Json) => item.path === '/spec/replicas');
    });
    expect(drift).toMatchObject({
      object: 'Deployment/site-web',
      expected: '1',
      actual: '3',
      action: 'corrected',
    });
    expect(drift.manager).toMatch(/kubectl/);
    await acme.ready('site');
  });

  test('a deleted child is made again and recorded', async () => {
    const acme = await Actor.join(stack(), 'gone');
    await acme.order('site', { message: 'x', replicas: 1 });
    await acme.ready('site');
    const before = await acme.object('service', 'site-service');
    await acme.kubectl('delete', 'service', 'site-service', '-n', acme.namespace);
    await eventually('the Service is back', async () => {
      const now = await acme.object('service', 'site-service');
      return now && now.metadata.uid !== before?.metadata.uid;
    });
    await eventually('the drift is in the API', async () =>
      (await acme.api.ok('GET', `${acme.path('site')}/drift`)).items.some(
        (item: Json) => item.object === 'Service/site-service' && item.path === '',
      ),
    );
  });

  test('what a customer ordered is not destroyed by kubectl delete, neither directly nor with its namespace', async () => {
    const acme = await Actor.join(stack(), 'kept');
    await acme.order('site', { message: 'x', replicas: 1 });
    await acme.ready('site');
    const before = (await acme.object('deployment', 'site-web'))?.metadata.uid;
    await expect(acme.kubectl('delete', 'instance', 'site', '-n', acme.namespace)).rejects.toThrow(
      /delete it through the API/,
    );
    await expect(acme.kubectl('delete', 'namespace', acme.namespace)).rejects.toThrow(
      /holds what a tenant ordered/,
    );
    expect((await acme.object('deployment', 'site-web'))?.metadata.uid).toBe(before);
    await acme.ready('site');
  });

  test('an edited spec of a control-plane-owned Instance is restored and reported, and nothing follows it', async () => {
    const acme = await Actor.join(stack(), 'specedit');
    await acme.order('site', { message: 'x', replicas: 1 });
    await acme.ready('site');
    const before = (await acme.object('deployment', 'site-web'))?.metadata.generation;
    await acme.kubectl(
      'patch',
      'instance',
      'site',
      '-n',
      acme.namespace,
      '--type=merge',
      '-p',
      '{"spec":{"parameters":{"replicas":4}}}',
    );
    await eventually(
      'the spec is restored',
      async () => (await acme.object('instance', 'site'))?.spec.parameters.replicas === 1,
    );
    await eventually('the drift is in the API', async () =>
      (await acme.api.ok('GET', `${acme.path('site')}/drift`)).items.some(
        (item: Json) => item.object === 'Instance/site',
      ),
    );
    await acme.ready('site');
    expect((await acme.object('deployment', 'site-web'))?.metadata.generation).toBe(before);
  });
}
