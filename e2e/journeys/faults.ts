import type { Stack } from '@felucca/dev/stack';
import { expect, test } from 'vitest';
import { eventually } from './api-client.ts';
import { Actor } from './stack.ts';

/** Each side keeps working when the other is gone, and nothing is done twice. */
export function faultJourney(stack: () => Stack): void {
  test('with the API away drift is still corrected, and on its return everything is reported', async () => {
    const acme = await Actor.join(stack(), 'apidown');
    await acme.order('site', { message: 'x', replicas: 1 });
    await acme.ready('site');
    await stack().controlApi.kill();
    await acme.kubectl('scale', 'deployment/site-web', '-n', acme.namespace, '--replicas=3');
    await eventually(
      'drift is corrected without the API',
      async () => (await acme.object('deployment', 'site-web'))?.spec.replicas === 1,
    );
    await stack().controlApi.start();
    await eventually(
      'the drift arrives',
      async () => (await acme.api.ok('GET', `${acme.path('site')}/drift`)).items.length > 0,
    );
    await acme.patch('site', { parameters: { message: 'back', replicas: 1 } });
    await acme.ready('site');
  });

  test('orders that were acknowledged before a kill -9 of the API all become Ready', async () => {
    const acme = await Actor.join(stack(), 'killed');
    const acknowledged: string[] = [];
    const orders = Array.from({ length: 8 }, async (_, index) => {
      await acme.order(`site-${index}`, { message: 'x', replicas: 1 }).then(
        () => acknowledged.push(`site-${index}`),
        () => undefined,
      );
    });
    await Promise.race(orders);
    await stack().controlApi.kill();
    await Promise.all(orders);
    await stack().controlApi.start();
    expect(acknowledged.length).toBeGreaterThan(0);
    for (const name of acknowledged) await acme.ready(name);
  });

  test('a killed operator starts again, writes nothing when nothing changed, and duplicates nothing', async () => {
    const acme = await Actor.join(stack(), 'opkill');
    await acme.order('site', { message: 'x', replicas: 1 });
    await acme.ready('site');
    const before = await acme.fingerprint();
    await stack().operator.kill();
    await stack().operator.waitReady();
    await acme.order('after', { message: 'y', replicas: 1 });
    await acme.ready('after');
    const after = (await acme.fingerprint()).split('\n').filter((line) => !line.includes('/after'));
    expect(after.join('\n')).toBe(before);
  });

  test('what was ordered while the operator was away is there when it is back', async () => {
    const acme = await Actor.join(stack(), 'opdown');
    await stack().operator.kill();
    await acme.order('site', { message: 'x', replicas: 1 });
    await stack().operator.waitReady();
    await acme.ready('site');
  });

  test('after a restart of Postgres the API answers again and orders become Ready', async () => {
    const acme = await Actor.join(stack(), 'pgrestart');
    await acme.order('before', { message: 'x', replicas: 1 });
    await acme.ready('before');
    await stack().postgres.restart();
    await eventually(
      'the API is ready again',
      async () => (await fetch(`${stack().apiUrl}/readyz`)).status === 200,
    );
    await eventually('an order is accepted', async () =>
      acme.order('after', { message: 'y', replicas: 1 }).catch(() => undefined),
    );
    await acme.ready('after');
  });

  test('after a cut of every watch connection changes are still seen', async () => {
    const acme = await Actor.join(stack(), 'watchcut');
    await acme.order('site', { message: 'x', replicas: 1 });
    await acme.ready('site');
    await stack().cluster.restartApiServer();
    await acme.kubectl('scale', 'deployment/site-web', '-n', acme.namespace, '--replicas=3');
    await eventually(
      'drift is corrected after the cut',
      async () => (await acme.object('deployment', 'site-web'))?.spec.replicas === 1,
    );
    await acme.patch('site', { parameters: { message: 'z', replicas: 1 } });
    await acme.ready('site');
  });
}
