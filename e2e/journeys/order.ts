import type { Stack } from '@felucca/dev/stack';
import { expect, test } from 'vitest';
import { eventually, type Json } from './api-client.ts';
import { Actor } from './stack.ts';

/** The main job: an order becomes running pods and a Service, and the answer comes back. */
export function orderJourney(stack: () => Stack): void {
  test('an order becomes pods and a Service, and Ready comes back through the API with each hop stamped', async () => {
    const acme = await Actor.join(stack(), 'acme');
    const accepted = await acme.order('site', { message: 'hello', replicas: 1 });
    const observed = await acme.ready('site');
    expect(observed.outputs.url.value).toBe('http://site-service.tenant-acme.svc');

    const operation = await eventually('the operation is ready', async () => {
      const now = await acme.api.ok('GET', `/v1/organizations/acme/operations/${accepted.operation.id}`);
      return now.state === 'ready' && now;
    });
    const stamps = [operation.acceptedAt, operation.deliveredAt, operation.appliedAt, operation.readyAt];
    expect(stamps.every(Boolean)).toBe(true);

    const deployment = await acme.object('deployment', 'site-web');
    expect(deployment?.status.readyReplicas).toBe(1);
    if (stack().realContainers) {
      const service = await acme.object('service', 'site-service');
      const answer = await fetch(`http://${service?.spec.clusterIP}:${service?.spec.ports[0].port}/`);
      expect(await answer.text()).toContain('hello');
    }
  });

  test('changed parameters roll out and the API shows the new generation', async () => {
    const acme = await Actor.join(stack(), 'update');
    await acme.order('site', { message: 'one', replicas: 1 });
    await acme.ready('site');
    await acme.patch('site', { parameters: { message: 'two', replicas: 2 } });
    const observed = await acme.ready('site');
    expect(observed.generation).toBe(2);
    const deployment = await acme.object('deployment', 'site-web');
    expect(deployment?.spec.replicas).toBe(2);
    expect(JSON.stringify(deployment?.spec.template)).toContain('two');
  });

  test('suspend scales to zero and resume brings the Instance back', async () => {
    const acme = await Actor.join(stack(), 'pause');
    await acme.order('site', { message: 'x', replicas: 2 });
    await acme.ready('site');
    await acme.patch('site', { suspend: true });
    await eventually('no replica is left', async () => {
      const deployment = await acme.object('deployment', 'site-web');
      return deployment?.spec.replicas === 0 && !deployment.status.replicas;
    });
    await eventually(
      'the API says Suspended',
      async () => (await acme.condition('site', 'Ready'))?.reason === 'Suspended',
    );
    await acme.patch('site', { suspend: false });
    await acme.ready('site');
    expect((await acme.object('deployment', 'site-web'))?.spec.replicas).toBe(2);
  });

  test('a deleted Instance leaves no child behind and its name can be ordered again', async () => {
    const acme = await Actor.join(stack(), 'remove');
    const first = await acme.order('site', { message: 'x', replicas: 1 });
    await acme.ready('site');
    await acme.api.ok('DELETE', acme.path('site'), undefined, { 'if-match': await acme.etag('site') });
    await eventually('instance and children are gone', async () => {
      const left = await acme.kubectl(
        'get',
        'instances,deployments,services',
        '-n',
        acme.namespace,
        '-o',
        'name',
      );
      return left.trim() === '';
    });
    const again = await acme.order('site', { message: 'y', replicas: 1 });
    expect(again.id).not.toBe(first.id);
    await acme.ready('site');
  });

  test('an Instance applied with kubectl works without the control plane and is reported as local', async () => {
    const acme = await Actor.join(stack(), 'local');
    await acme.order('first', { message: 'x', replicas: 1 });
    await acme.ready('first');
    await stack().cluster.apply({
      apiVersion: 'felucca.dev/v1alpha1',
      kind: 'Instance',
      metadata: { name: 'by-hand', namespace: acme.namespace },
      spec: { blueprintRef: { name: 'web', version: '1.0.0' }, parameters: { message: 'hand', replicas: 1 } },
    });
    const local = await eventually('the local Instance is Ready', async () => {
      const instance = await acme.object('instance', 'by-hand');
      const conditions: Json[] = instance?.status?.conditions ?? [];
      return conditions.some((c) => c.type === 'Ready' && c.status === 'True') && instance;
    });
    expect(local.status.conditions.find((c: Json) => c.type === 'Synced').reason).toBe('Local');
    await eventually('the API lists it as local', async () => {
      const list = await acme.api
        .ok('GET', `/v1/data-planes/${stack().dataPlane.name}/local-instances`)
        .catch(() => undefined);
      const seen =
        list ??
        (await acme.api
          .as(stack().platformKey)
          .ok('GET', `/v1/data-planes/${stack().dataPlane.name}/local-instances`));
      return seen.items.some((item: Json) => item.key === 'local/by-hand' && item.local === true);
    });
    await acme.kubectl('delete', 'instance', 'by-hand', '-n', acme.namespace, '--wait=true', '--timeout=60s');
    expect(await acme.object('deployment', 'by-hand-web')).toBeUndefined();
  });
}
